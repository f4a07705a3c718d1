"""/ramal over HTTP: contract section 6 and the samples of the seed."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpx2
import pytest

from telefonista.calling.house import House
from telefonista.engine.fake import Behaviour, FakeEngine
from telefonista.engine.port import EngineError, RamalAccount
from telefonista.ramal import accounts
from tests.contract.conftest import ContaDeTeste

Done = Callable[..., Any]
Refused = Callable[..., None]

KEYS = [
    *("id", "ramal", "login", "senha", "bina", "webphone_key", "ligacao_externa", "ligacao_celular", "gravar_audio"),
    *("acesso_gravacoes", "webphone", "ura_id", "voicemail", "tags", "nome", "sip"),
]


async def test_create_without_any_field(client: httpx2.AsyncClient, done: Done, conta: ContaDeTeste) -> None:
    dados = done(await client.post("/ramal"), "ramal criado com sucesso")
    assert list(dados) == KEYS
    assert dados["ramal"] == "4000" and "4000" in dados["login"]
    assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{16,}", dados["senha"])
    assert len(dados["webphone_key"]) >= 32
    assert {key: dados[key] for key in KEYS[6:-1]} == {
        "ligacao_externa": False,
        "ligacao_celular": False,
        "gravar_audio": False,
        "acesso_gravacoes": False,
        "webphone": True,
        "ura_id": None,
        "voicemail": False,
        "tags": None,
        "nome": None,
    }
    assert dados["bina"] is None
    assert dados["sip"] == {
        "servidor": "127.0.0.1",
        "porta": 5060,
        "usuario": f"4000c{conta.id}",
        "transporte": "udp",
        "registrado": False,
    }


async def test_create_as_the_seed_does(client: httpx2.AsyncClient, done: Done) -> None:
    """The seed's own sample: all fields there and empty."""
    dados = done(await client.post("/ramal", content=b'{"ramal":"","login":"","senha":""}'))
    assert dados["ramal"] == "4000"
    assert done(await client.get(f"/ramal/{dados['id']}"), "dados retornados com sucesso") == dados


async def test_create_with_every_field(client: httpx2.AsyncClient, done: Done) -> None:
    given = {
        "ramal": 3333,
        "login": "testee@TotalVoice.com.br",
        "senha": "123456aSSc",
        "bina": "48999999999",
        "ligacao_externa": "sim",
        "ligacaoCelular": 1,
        "GravarAudio": "true",
        "acesso_gravacoes": True,
        "webphone": False,
        "ura_id": "7",
        "voicemail": True,
        "tags": "vendas",
        "nome": "Ana Conceição",
    }
    dados = done(await client.post("/ramal", json=given))
    assert {key: dados[key] for key in KEYS[1:-1] if key != "webphone_key"} == {
        "ramal": "3333",
        "login": "testee@TotalVoice.com.br",
        "senha": "123456aSSc",
        "bina": "48999999999",
        "ligacao_externa": True,
        "ligacao_celular": True,
        "gravar_audio": True,
        "acesso_gravacoes": True,
        "webphone": False,
        "ura_id": 7,
        "voicemail": True,
        "tags": "vendas",
        "nome": "Ana Conceição",
    }


async def test_free_numbers_fill_gaps(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, done: Done) -> None:
    first = [done(await client.post("/ramal"))["ramal"] for _ in range(3)]
    assert first == ["4000", "4001", "4002"]
    assert done(await client.post("/ramal", json={"ramal": "4003"}))["ramal"] == "4003"
    listed = done(await client.get("/ramal/relatorio"))["relatorio"]
    done(await client.delete(f"/ramal/{listed[1]['id']}"), "Ramal Removido")
    assert [done(await client.post("/ramal"))["ramal"] for _ in range(2)] == ["4001", "4004"]
    assert done(await stranger.post("/ramal"))["ramal"] == "4000", "each conta has its own numbers"


@pytest.mark.parametrize("numero", ["4", "0400", "190", "911", "1234567", "40a0", "+4000", "-400", "9.5"])
async def test_bad_number(client: httpx2.AsyncClient, refused: Refused, numero: str) -> None:
    refused(await client.post("/ramal", json={"ramal": numero}), 405, 11, "ramal")


@pytest.mark.parametrize("numero", ["40", "200", "1000", "999999"])
async def test_good_number(client: httpx2.AsyncClient, done: Done, numero: str) -> None:
    assert done(await client.post("/ramal", json={"ramal": int(numero)}))["ramal"] == numero


@pytest.mark.parametrize("senha", ["4321789", "semmaiuscula1", "SEMMINUSCULA1", "Curta1x", "Acentuação1", "Aa1" * 22])
async def test_bad_senha(client: httpx2.AsyncClient, refused: Refused, senha: str) -> None:
    refused(await client.post("/ramal", json={"senha": senha}), 405, 11, "senha", "maiúsculas e minúsculas")


async def test_too_long_texts(client: httpx2.AsyncClient, refused: Refused) -> None:
    for campo, length in (("login", 121), ("nome", 121), ("tags", 256), ("bina", 41)):
        refused(await client.post("/ramal", json={campo: "9" * length}), 405, 11, campo)


async def test_duplicates(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, done: Done, refused: Refused
) -> None:
    one = done(await client.post("/ramal", json={"ramal": 4000, "login": "a@exemplo.com.br"}))
    refused(await client.post("/ramal", json={"ramal": "4000"}), 405, 20, "ramal")
    refused(await client.post("/ramal", json={"login": "a@exemplo.com.br"}), 405, 20, "login")
    refused(await stranger.post("/ramal", json={"login": "a@exemplo.com.br"}), 405, 20, "login")
    two = done(await client.post("/ramal"))
    refused(await client.put(f"/ramal/{two['id']}", json={"ramal": 4000}), 405, 20, "ramal")
    refused(await client.put(f"/ramal/{two['id']}", json={"login": "a@exemplo.com.br"}), 405, 20, "login")
    same = {"ramal": "4000", "login": "a@exemplo.com.br"}
    done(await client.put(f"/ramal/{one['id']}", json=same), "dados atualizados com sucesso")
    assert done(await client.get(f"/ramal/{two['id']}")) == two


async def test_put_changes_the_given_fields_alone(client: httpx2.AsyncClient, done: Done) -> None:
    before = done(await client.post("/ramal", json={"nome": "Ana", "tags": "x", "ligacao_externa": True}))
    path = f"/ramal/{before['id']}"
    assert done(await client.put(path, json={"senha": "OutraSenha9"}), "dados atualizados com sucesso") is None
    assert done(await client.get(path)) == before | {"senha": "OutraSenha9"}
    done(await client.put(path, json={"ligacao_externa": False, "tags": "", "nome": None}))
    assert done(await client.get(path)) == before | {"senha": "OutraSenha9", "ligacao_externa": False}
    done(await client.put(path))


@pytest.mark.parametrize("body", ['{"id": %d, "nome": "Bia"}', '{"Id": "%d", "Nome": "Bia"}'])
async def test_put_with_id_in_the_body(client: httpx2.AsyncClient, done: Done, body: str) -> None:
    before = done(await client.post("/ramal"))
    response = await client.put("/ramal/", content=body % before["id"])
    assert done(response, "dados atualizados com sucesso") is None
    assert done(await client.get(f"/ramal/{before['id']}")) == before | {"nome": "Bia"}


async def test_put_without_any_id(client: httpx2.AsyncClient, refused: Refused) -> None:
    refused(await client.put("/ramal", json={"nome": "Bia"}), 405, 10, "id")
    refused(await client.put("/ramal", json={"id": 0, "nome": "Bia"}), 405, 10, "id")


async def test_what_is_not_of_this_conta(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, done: Done, refused: Refused
) -> None:
    id = done(await client.post("/ramal"))["id"]
    for who, foreign in ((stranger, id), (client, id + 1), (client, 2**31)):
        refused(await who.get(f"/ramal/{foreign}"), 404, 60)
        refused(await who.put(f"/ramal/{foreign}", json={"nome": "x"}), 404, 60)
        refused(await who.delete(f"/ramal/{foreign}"), 404, 60)
    refused(await stranger.put("/ramal", json={"id": id, "nome": "x"}), 404, 60)
    assert done(await stranger.get("/ramal/relatorio"))["total"] == 0
    assert done(await client.get(f"/ramal/{id}"))["nome"] is None
    refused(await client.get("/ramal/abc"), 405, 11)


async def test_report_pages_and_bounds(client: httpx2.AsyncClient, done: Done) -> None:
    ids = [done(await client.post("/ramal"))["id"] for _ in range(5)]
    everything = done(await client.get("/ramal/relatorio"))
    assert list(everything) == ["total", "posicao", "limite", "relatorio"]
    assert (everything["total"], everything["posicao"], everything["limite"]) == (5, 0, 100)
    assert [item["id"] for item in everything["relatorio"]] == ids
    assert list(everything["relatorio"][0]) == KEYS
    page = done(await client.get("/ramal/relatorio?posicao=2&limite=2"))
    assert [item["id"] for item in page["relatorio"]] == ids[2:4] and page["total"] == 5
    assert done(await client.get("/ramal/relatorio?data_inicio=2018-03-14&data_fim=2018-03-15"))["total"] == 0
    assert done(await client.get("/ramal/relatorio?data_inicio=2018-03-14&limite=900"))["limite"] == 200


async def test_no_token(client: httpx2.AsyncClient, refused: Refused) -> None:
    for method, path in (("POST", "/ramal"), ("GET", "/ramal/relatorio"), ("PUT", "/ramal/1"), ("DELETE", "/ramal/1")):
        refused(await client.request(method, path, headers={"Access-Token": "outro"}), 403, 40)


# -- the engine ----------------------------------------------------------------------------------------------------


async def test_the_engine_follows(
    client: httpx2.AsyncClient, fake: FakeEngine, done: Done, conta: ContaDeTeste
) -> None:
    dados = done(await client.post("/ramal", json={"senha": "Primeira1", "nome": "Ana"}))
    path, usuario = f"/ramal/{dados['id']}", f"4000c{conta.id}"
    assert fake.ramais == {usuario: RamalAccount(usuario, "Primeira1", "4000", "Ana")}
    done(await client.put(path, json={"senha": "Segunda22"}))
    assert fake.ramais[usuario].senha == "Segunda22"
    done(await client.put(path, json={"ramal": "5000"}))
    moved = f"5000c{conta.id}"
    assert fake.ramais == {moved: RamalAccount(moved, "Segunda22", "5000", "Ana")}
    done(await client.delete(path))
    assert fake.ramais == {}


async def test_registrado(client: httpx2.AsyncClient, fake: FakeEngine, done: Done) -> None:
    dados = done(await client.post("/ramal"))
    fake.register(dados["sip"]["usuario"], "d1", Behaviour())
    assert done(await client.get(f"/ramal/{dados['id']}"))["sip"]["registrado"] is True
    assert done(await client.get("/ramal/relatorio"))["relatorio"][0]["sip"]["registrado"] is True


async def test_with_the_engine_down_rows_stay_and_are_told_later(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done
) -> None:
    one, two = [done(await client.post("/ramal")) for _ in range(2)]
    fake.crash()
    three = done(await client.post("/ramal"), "ramal criado com sucesso")
    done(await client.put(f"/ramal/{one['id']}", json={"senha": "Trocada99"}))
    done(await client.delete(f"/ramal/{two['id']}"))
    assert three["sip"]["usuario"] not in fake.ramais
    await fake.restart()
    assert await accounts.push_all(house) == 2
    assert {usuario: account.senha for usuario, account in fake.ramais.items()} == {
        one["sip"]["usuario"]: "Trocada99",
        three["sip"]["usuario"]: three["senha"],
    }


async def test_one_that_the_engine_refuses_does_not_stop_the_others(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [done(await client.post("/ramal"))["sip"]["usuario"] for _ in range(20)]
    fake.ramais.clear()
    good, inside, full = fake.put_ramal, 0, asyncio.Event()

    async def put(account: RamalAccount) -> None:
        nonlocal inside
        inside += 1
        if inside == accounts.AT_ONCE:
            full.set()
        async with asyncio.timeout(5):
            await full.wait()  # so many are pushed at the same time
        if account.usuario == made[3]:
            raise EngineError("refused")
        await good(account)

    monkeypatch.setattr(fake, "put_ramal", put)
    assert await accounts.push_all(house) == 20
    assert set(fake.ramais) == set(made) - {made[3]}
    monkeypatch.undo()
    await accounts.push_all(house)
    assert set(fake.ramais) == set(made)


async def test_many_are_given_all_at_once_and_again_when_rows_change_meanwhile(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [done(await client.post("/ramal")) for _ in range(4)]
    monkeypatch.setattr(accounts, "MANY", 3)
    fake.ramais.clear()
    good, times = fake.replace_ramais, 0

    async def replace(given: Sequence[RamalAccount]) -> None:
        nonlocal times
        times += 1
        await good(given)
        if times == 1:
            fake.ramais.clear()  # as if the change below came before
            done(await client.put(f"/ramal/{made[0]['id']}", json={"senha": "Trocada99"}))

    monkeypatch.setattr(fake, "replace_ramais", replace)
    assert await accounts.push_all(house) == 4
    assert times == 2
    senhas = {usuario: account.senha for usuario, account in fake.ramais.items()}
    assert senhas == {ramal["sip"]["usuario"]: ramal["senha"] for ramal in made} | {
        made[0]["sip"]["usuario"]: "Trocada99"
    }
    done(await client.delete(f"/ramal/{made[1]['id']}"))
    assert await accounts.push_all(house) == 3
    assert set(fake.ramais) == {ramal["sip"]["usuario"] for ramal in made if ramal is not made[1]}


async def test_the_last_change_wins_whatever_the_engine_is_slow_at(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first push is held up in the engine while the row changes again: the engine ends with the newer senha."""
    dados = done(await client.post("/ramal", json={"senha": "Zero00000a"}))
    path, usuario = f"/ramal/{dados['id']}", dados["sip"]["usuario"]
    good, arrived, free, again = fake.put_ramal, asyncio.Event(), asyncio.Event(), asyncio.Event()
    push = accounts.push

    async def slow(account: RamalAccount) -> None:
        if not arrived.is_set():
            arrived.set()
            await free.wait()
        await good(account)

    async def pushed(house: House, usuarios: Iterable[str]) -> None:
        if arrived.is_set():
            again.set()
        await push(house, usuarios)

    monkeypatch.setattr(fake, "put_ramal", slow)
    monkeypatch.setattr(accounts, "push", pushed)
    async with asyncio.timeout(5), asyncio.TaskGroup() as both:
        both.create_task(client.put(path, json={"senha": "Velha0000a"}))
        await arrived.wait()
        second = both.create_task(client.put(path, json={"senha": "Nova00000a"}))
        await again.wait()
        assert not second.done()
        free.set()
    assert fake.ramais[usuario].senha == "Nova00000a"
