"""/webhook over HTTP: contract section 9; and what is written for delivery when calls change."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.chamada.tell import tellers
from telefonista.engine.fake import Behaviour, FakeEngine
from telefonista.outbox import rows
from telefonista.settings import Settings
from telefonista.storage.tables import Entrega, Tentativa, Webhook
from telefonista.webhook.objeto import EntregaObjeto, Estado, Nome, TentativaObjeto, WebhookObjeto
from tests.contract.conftest import ContaDeTeste

Done = Callable[..., Any]
Refused = Callable[..., None]

URL = "https://8.8.8.8/avisos"  # a literal: nothing is looked up
NAMES = [
    *("chamada_fim", "status_tempo_real", "chamada_tempo_real", "ramal_tempo_real", "did_tempo_real"),
    *("conferencia_tempo_real", "audio_fim", "tts_fim", "composto_fim", "did_fim", "voicemail", "aviso_saldo"),
]
PATHS = ["/webhook", "/conta/webhook-default"]
ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-03:00")


@pytest.fixture
def told(app: FastAPI) -> list[int]:
    """The contas of which the delivery was told that something changed."""
    contas: list[int] = []
    app.state.webhook_changed = contas.append
    return contas


async def test_none_at_first(client: httpx2.AsyncClient, done: Done) -> None:
    for path in PATHS:
        assert done(await client.get(path), "dados retornados com sucesso") == []


@pytest.mark.parametrize("path", PATHS)
async def test_set_and_list(client: httpx2.AsyncClient, done: Done, path: str, told: list[int]) -> None:
    made = done(await client.put(f"{path}/chamada_fim", json={"url": URL}), "webhook salvo com sucesso")
    assert list(made) == list(WebhookObjeto.model_fields) == ["nome", "url", "segredo", "data_criacao"]
    assert (made["nome"], made["url"]) == ("chamada_fim", URL)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["segredo"]) and ZONED.fullmatch(made["data_criacao"])
    for other in PATHS:
        assert done(await client.get(other)) == [made]
    assert len(told) == 1


async def test_the_secret_stays_when_the_url_changes(client: httpx2.AsyncClient, done: Done) -> None:
    first = done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    second = done(await client.put("/webhook/chamada_fim", json={"url": URL + "2"}))
    assert second == first | {"url": URL + "2"}
    other = done(await client.put("/webhook/audio_fim", json={"url": URL}))
    assert other["segredo"] != first["segredo"]
    assert [one["nome"] for one in done(await client.get("/webhook"))] == ["audio_fim", "chamada_fim"]


async def test_every_name(client: httpx2.AsyncClient, done: Done) -> None:
    assert list(get_args(Nome)) == NAMES
    for nome in NAMES:
        done(await client.put(f"/webhook/{nome}", json={"URL": f"  {URL}  "}))
    assert sorted(one["nome"] for one in done(await client.get("/webhook"))) == sorted(NAMES)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_unknown_name(client: httpx2.AsyncClient, refused: Refused, path: str, method: str) -> None:
    answer = await client.request(method, f"{path}/chamada_inicio", json={"url": URL})
    refused(answer, 405, 11, "nome", *NAMES)


@pytest.mark.parametrize("path", PATHS)
async def test_remove(client: httpx2.AsyncClient, done: Done, refused: Refused, path: str, told: list[int]) -> None:
    done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    assert done(await client.delete(f"{path}/chamada_fim"), "webhook removido com sucesso") is None
    assert done(await client.get("/webhook")) == [] and len(told) == 2
    refused(await client.delete(f"{path}/chamada_fim"), 404, 60, "chamada_fim", "PUT /webhook/chamada_fim")


@pytest.mark.parametrize(
    ("corpo", "motivo", "words"),
    [
        ({}, 10, ["url"]),
        ({"url": ""}, 10, ["url"]),
        ({"url": None}, 10, ["url"]),
        ({"url": 7}, 11, ["url", "https://"]),
        ({"url": ["https://8.8.8.8/"]}, 11, ["url", "https://"]),
        ({"url": "exemplo.com.br"}, 11, ["url", "http:// ou https://"]),
        ({"url": "ftp://8.8.8.8/"}, 11, ["url", "http:// ou https://"]),
        ({"url": "https://ana:senha@8.8.8.8/"}, 11, ["url", "sem usuário e senha"]),
        ({"url": "https://8.8.8.8:99999/"}, 11, ["url"]),
        ({"url": "https://8.8.8.8/" + "a" * 2000}, 11, ["url", "2000"]),
        *(
            ({"url": f"http://{host}/x"}, 11, ["url", "endereço público"])
            for host in (
                *("127.0.0.1", "127.0.0.1:8080", "10.0.0.1", "192.168.0.1", "169.254.169.254", "[::1]", "0.0.0.0"),
                *("[::ffff:10.0.0.1]", "2130706433", "localhost", "api.localhost"),
            )
        ),
    ],
)
async def test_urls_that_are_refused(
    client: httpx2.AsyncClient, done: Done, refused: Refused, corpo: dict[str, Any], motivo: int, words: list[str]
) -> None:
    refused(await client.put("/webhook/chamada_fim", json=corpo), 405, motivo, *words)
    assert done(await client.get("/webhook")) == []


async def test_internal_addresses_for_development(house: House, client: httpx2.AsyncClient, done: Done) -> None:
    object.__setattr__(house, "settings", house.settings.model_copy(update={"internal_urls": True}))
    for host in ("127.0.0.1:8080", "localhost", "10.0.0.1"):
        done(await client.put("/webhook/chamada_fim", json={"url": f"http://{host}/x"}))
    refusal = await client.put("/webhook/chamada_fim", json={"url": "http://169.254.169.254/latest/meta-data"})
    assert refusal.status_code == 405


def test_the_setting_is_off_by_default() -> None:
    assert Settings(_env_file=None).internal_urls is False


async def test_of_another_conta_nothing_is_seen(
    house: House,
    conta: ContaDeTeste,
    client: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    done: Done,
    refused: Refused,
) -> None:
    done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    (id,) = await add_entregas(house, conta.id, "chamada_fim", 1)
    assert done(await stranger.get("/webhook")) == []
    assert done(await stranger.get("/webhook/entregas"))["total"] == 0
    refused(await stranger.delete("/webhook/chamada_fim"), 404, 60)
    refused(await stranger.post(f"/webhook/entregas/{id}/reenviar"), 404, 60, "entrega")


async def add_entregas(house: House, conta_id: int, nome: str, count: int, *, at: datetime | None = None) -> list[int]:
    """Deliveries of calls 1, 2 ... that wait; their ids."""
    now = at or datetime.now(UTC)

    def unit(session: Session) -> list[int]:
        for n in range(1, count + 1):
            assert rows.enqueue(session, conta_id, nome, f"chamada-{n}", {"id": n, "preco": 0.12}, now)
        query = select(Entrega.id).where(Entrega.nome == nome, Entrega.criada_em == now).order_by(Entrega.id)
        return list(session.scalars(query))

    return await house.storage.write(unit)


async def set_entrega(house: House, id: int, *attempts: tuple[int | None, str | None], **fields: Any) -> None:
    def unit(session: Session) -> None:
        session.execute(update(Entrega).where(Entrega.id == id).values(tentativas=len(attempts), **fields))
        for status, erro in attempts:
            session.add(
                Tentativa(entrega_id=id, momento=datetime.now(UTC), url=URL, status=status, erro=erro, milissegundos=12)
            )

    await house.storage.write(unit)


async def test_the_report(house: House, conta: ContaDeTeste, client: httpx2.AsyncClient, done: Done) -> None:
    done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    first, second = await add_entregas(house, conta.id, "chamada_fim", 2)
    at = datetime.now(UTC)
    await set_entrega(
        house, first, (None, "conexão recusada"), (503, None), (200, None), estado="entregue", entregue_em=at
    )
    dados = done(await client.get("/webhook/entregas"))
    assert (dados["total"], dados["posicao"], dados["limite"]) == (2, 0, 100)
    one, other = dados["relatorio"]
    assert list(one) == list(EntregaObjeto.model_fields)
    assert (one["id"], one["webhook_id"], one["nome"], one["estado"]) == (
        first,
        f"msg_{first}",
        "chamada_fim",
        "entregue",
    )
    assert one["corpo"] == {"id": 1, "preco": 0.12}
    assert ZONED.fullmatch(one["data_criacao"]) and ZONED.fullmatch(one["data_entrega"])
    assert one["proxima_tentativa"] is None
    assert [(each["status"], each["erro"]) for each in one["tentativas"]] == [
        (None, "conexão recusada"),
        (503, None),
        (200, None),
    ]
    assert list(one["tentativas"][0]) == list(TentativaObjeto.model_fields)
    assert (other["id"], other["estado"], other["tentativas"], other["data_entrega"]) == (second, "pendente", [], None)
    assert ZONED.fullmatch(other["proxima_tentativa"])


async def test_filters_and_pages(house: House, conta: ContaDeTeste, client: httpx2.AsyncClient, done: Done) -> None:
    for nome in ("chamada_fim", "audio_fim"):
        done(await client.put(f"/webhook/{nome}", json={"url": URL}))
    old = await add_entregas(house, conta.id, "chamada_fim", 2, at=datetime.now(UTC) - timedelta(days=40))
    new = await add_entregas(house, conta.id, "chamada_fim", 3)
    audio = await add_entregas(house, conta.id, "audio_fim", 2)
    await set_entrega(house, new[1], (410, None), estado="desistiu")

    async def ids(**query: Any) -> tuple[int, list[int]]:
        dados = done(await client.get("/webhook/entregas", params=query))
        return dados["total"], [one["id"] for one in dados["relatorio"]]

    assert await ids() == (5, new + audio)
    assert await ids(nome="audio_fim") == (2, audio)
    assert await ids(estado="desistiu") == (1, [new[1]])
    assert await ids(estado="pendente", nome="chamada_fim") == (2, [new[0], new[2]])
    assert await ids(data_inicio="2000-01-01") == (7, old + new + audio)
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    assert await ids(data_inicio="2000-01-01", data_fim=yesterday) == (2, old)
    assert await ids(posicao=1, limite=2) == (5, new[1:])


async def test_bad_filters(client: httpx2.AsyncClient, refused: Refused) -> None:
    refused(await client.get("/webhook/entregas?estado=perdida"), 405, 11, "estado", *get_args(Estado))
    refused(await client.get("/webhook/entregas?nome=x"), 405, 11, "nome", *NAMES)
    refused(await client.get("/webhook/entregas?data_inicio=ontem"), 405, 11, "data_inicio")


@pytest.mark.parametrize("estado", get_args(Estado))
async def test_send_again(
    house: House, conta: ContaDeTeste, client: httpx2.AsyncClient, done: Done, told: list[int], estado: str
) -> None:
    done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    (id,) = await add_entregas(house, conta.id, "chamada_fim", 1)
    await set_entrega(house, id, (500, None), (500, None), estado=estado, entregue_em=datetime.now(UTC))
    told.clear()
    assert done(await client.post(f"/webhook/entregas/{id}/reenviar"), "entrega será reenviada") is None
    (one,) = done(await client.get("/webhook/entregas"))["relatorio"]
    assert (one["estado"], one["data_entrega"], len(one["tentativas"])) == ("pendente", None, 2)
    entrega = await house.storage.read(lambda session: session.get_one(Entrega, id))
    assert entrega.tentativas == 0 and entrega.proxima_em <= datetime.now(UTC)
    assert told == [conta.id]


async def test_send_again_what_cannot_be(
    house: House, conta: ContaDeTeste, client: httpx2.AsyncClient, done: Done, refused: Refused
) -> None:
    refused(await client.post("/webhook/entregas/99/reenviar"), 404, 60, "entrega")
    refused(await client.post("/webhook/entregas/x/reenviar"), 405, 11)
    done(await client.put("/webhook/chamada_fim", json={"url": URL}))
    (id,) = await add_entregas(house, conta.id, "chamada_fim", 1)
    done(await client.delete("/webhook/chamada_fim"))
    (one,) = done(await client.get("/webhook/entregas"))["relatorio"]
    assert (one["estado"], one["proxima_tentativa"]) == ("cancelada", None)
    refused(await client.post(f"/webhook/entregas/{id}/reenviar"), 404, 60, "chamada_fim", "PUT /webhook/chamada_fim")


# -- what calls write ------------------------------------------------------------------------------------------------

A, B = "1130001000", "1130002000"


@pytest.fixture
def nudged(house: House) -> list[int]:
    """The house tells; the contas for which the delivery was woken."""
    contas: list[int] = []
    house.runner.tellers = tellers(house.settings.base_url, contas.append)
    return contas


async def hook(client: httpx2.AsyncClient, done: Done, *nomes: str) -> None:
    for nome in nomes:
        done(await client.put(f"/webhook/{nome}", json={"url": URL}))


async def written(house: House) -> list[Entrega]:
    await house.storage.write(lambda session: None)
    return list(await house.storage.read(lambda session: session.scalars(select(Entrega).order_by(Entrega.id)).all()))


async def call(house: House, client: httpx2.AsyncClient, done: Done, origem: str, destino: str) -> int:
    """A whole call; its id."""
    made = done(await client.post("/chamada", json={"numero_origem": origem, "numero_destino": destino}))
    async with asyncio.timeout(10):
        await house.runner.drain(10)
    return int(made["id"])


@pytest.fixture
async def phones(fake: FakeEngine, client: httpx2.AsyncClient, done: Done) -> tuple[str, str]:
    """Two ramais: one answers at once, the other answers and hangs up."""
    made = [done(await client.post("/ramal")) for _ in range(2)]
    fake.register(made[0]["sip"]["usuario"], "d1", Behaviour(ring=0.01, answer=0.02))
    fake.register(made[1]["sip"]["usuario"], "d1", Behaviour(ring=0.01, answer=0.02, hang_up=0.05))
    return made[0]["ramal"], made[1]["ramal"]


async def test_the_end_of_a_call(
    house: House,
    client: httpx2.AsyncClient,
    done: Done,
    phones: tuple[str, str],
    nudged: list[int],
    conta: ContaDeTeste,
) -> None:
    await hook(client, done, "chamada_fim")
    id = await call(house, client, done, *phones)
    (entrega,) = await written(house)
    assert (entrega.nome, entrega.ordem, entrega.conta_id) == ("chamada_fim", f"chamada-{id}", conta.id)
    dados = done(await client.get(f"/chamada/{id}"))
    assert entrega.corpo == dados and dados["status_geral"] == "finalizada"
    assert list(entrega.corpo) == list(dados)
    assert nudged == [conta.id]


async def test_a_call_as_it_goes(
    house: House, client: httpx2.AsyncClient, done: Done, phones: tuple[str, str], nudged: list[int]
) -> None:
    await hook(client, done, "chamada_fim", "chamada_tempo_real", "status_tempo_real", "ramal_tempo_real")
    id = await call(house, client, done, *phones)
    entregas = await written(house)
    assert {entrega.ordem for entrega in entregas} == {f"chamada-{id}"}
    by_nome = {nome: [entrega.corpo for entrega in entregas if entrega.nome == nome] for nome in NAMES}
    live = by_nome["chamada_tempo_real"]
    assert [(one["evento"], one["perna"]) for one in live[:6]] == [
        ("discada", "origem"),
        ("chamando", "origem"),
        ("atendida", "origem"),
        ("discada", "destino"),
        ("chamando", "destino"),
        ("atendida", "destino"),
    ]
    assert [one["evento"] for one in live[6:]] == ["conversa", "desligada", "desligada", "fim"]
    assert [one["chamada"]["origem"]["status"] for one in live[:3]] == ["preparando", "chamando", "atendida"]
    assert live[-1]["chamada"] == by_nome["chamada_fim"][0] == done(await client.get(f"/chamada/{id}"))
    status = by_nome["status_tempo_real"]
    assert [(one["id"], one["perna"], one["status"], one["encerrada"]) for one in status[:6]] == [
        *((id, "origem", each, False) for each in ("preparando", "chamando", "atendida")),
        *((id, "destino", each, False) for each in ("preparando", "chamando", "atendida")),
    ]
    assert sorted((one["perna"], one["status"], one["encerrada"]) for one in status[6:]) == [
        ("destino", "atendida", True),
        ("origem", "atendida", True),
    ]
    assert all(ZONED.fullmatch(one["data"]) for one in status)
    ramais = by_nome["ramal_tempo_real"]
    found = done(await client.get("/ramal/relatorio"))["relatorio"]
    assert {(one["ramal_id"], one["ramal"]) for one in ramais} == {(one["id"], one["ramal"]) for one in found}
    assert {one["chamada_id"] for one in ramais} == {id} and len(ramais) == 8
    assert entregas[-1].nome == "chamada_fim"


async def test_a_leg_that_was_never_dialled(
    house: House, client: httpx2.AsyncClient, done: Done, phones: tuple[str, str], nudged: list[int], fake: FakeEngine
) -> None:
    await hook(client, done, "status_tempo_real")
    fake.behaviour("1030000004", ring=0.01, refuse=486, refuse_at=0.02)
    await call(house, client, done, "1030000004", phones[0])
    told = [(one.corpo["perna"], one.corpo["status"]) for one in await written(house)]
    assert told[-2:] == [("origem", "ocupado"), ("destino", "cancelada")]
    assert told.count(("destino", "cancelada")) == 1


async def test_a_scheduled_call_that_is_cancelled(
    house: House, client: httpx2.AsyncClient, done: Done, nudged: list[int], conta: ContaDeTeste
) -> None:
    await hook(client, done, "chamada_fim")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    corpo = {"numero_origem": "1030000021", "numero_destino": "1030000001", "data_criacao": later}
    id = done(await client.post("/chamada", json=corpo))["id"]
    done(await client.delete(f"/chamada/{id}"))
    (entrega,) = await written(house)
    shown = done(await client.get(f"/chamada/{id}"))
    told = entrega.corpo
    assert (told["status_geral"], told["origem"]["numero"]) == (shown["status_geral"], "+551030000021")
    assert told["origem"] | {"numero": ""} == shown["origem"] | {"numero": ""}
    assert nudged == [conta.id]


async def test_without_webhooks_nothing_is_written(
    house: House,
    client: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    done: Done,
    phones: tuple[str, str],
    nudged: list[int],
) -> None:
    await hook(stranger, done, "chamada_fim", "chamada_tempo_real")
    await call(house, client, done, *phones)
    assert await written(house) == [] and nudged == []


async def test_what_cannot_be_told_is_no_harm_to_the_call(
    house: House,
    client: httpx2.AsyncClient,
    done: Done,
    phones: tuple[str, str],
    nudged: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await hook(client, done, "chamada_fim")

    def broken(*_: object) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr("telefonista.chamada.tell.chamada_object", broken)
    id = await call(house, client, done, *phones)
    dados = done(await client.get(f"/chamada/{id}"))
    assert dados["status_geral"] == "finalizada" and dados["destino"]["status"] == "atendida"
    assert await written(house) == []
    assert await house.storage.read(lambda session: len(session.scalars(select(Webhook)).all())) == 1
