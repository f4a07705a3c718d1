"""/chamada over HTTP: contract sections 1 to 3, against the product's own routes and middleware."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.chamada.objeto import ChamadaObjeto, DestinoObjeto, OrigemObjeto
from telefonista.dialect.lenient import MAX_BODY
from telefonista.engine.fake import Behaviour, FakeEngine
from telefonista.storage.tables import Chamada, LedgerEntry, Tronco
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import FIXO, MOVEL, RAMAL, add_chamada, set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000001"
PEDIDO = {"numero_origem": A, "numero_destino": B}

KEYS = [
    *("id", "data_criacao", "ativa", "url_gravacao", "cliente_id", "conta_id", "ramal_id_origem", "tags"),
    *("status_geral", "detecta_caixa", "gravar_audio", "origem", "destino", "avaliacao"),
]
LEG_KEYS = [
    *("data_inicio", "numero", "tipo", "status", "substatus", "duracao_segundos", "duracao"),
    *("duracao_cobrada_segundos", "duracao_cobrada", "duracao_falada_segundos", "duracao_falada"),
    *("preco", "motivo_desconexao"),
]
ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-03:00")


async def flushed(house: House) -> None:
    """What happened so far is on the rows: the storage works in order."""
    await house.storage.write(lambda session: None)


async def chamadas(house: House) -> int:
    def count(session: Session) -> int:
        return session.scalar(select(func.count()).select_from(Chamada)) or 0

    return await house.storage.read(count)


@pytest.fixture
def changed(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set each time something changes in the engine."""
    event, heard_anew = asyncio.Event(), fake.heard_anew

    def spy() -> None:
        heard_anew()
        event.set()

    monkeypatch.setattr(fake, "heard_anew", spy)
    return event


async def until(changed: asyncio.Event, what: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not what():
            changed.clear()
            await changed.wait()


# -- what is answered, exactly --------------------------------------------------------------------------------------


async def test_create_answers_exactly_this(client: httpx2.AsyncClient, house: House) -> None:
    answer = await client.post("/chamada", json=PEDIDO)
    (id,) = await house.storage.read(lambda session: session.scalars(select(Chamada.id)).all())
    assert answer.text == (
        f'{{"status":200,"sucesso":true,"motivo":0,"mensagem":"chamada criada com sucesso","dados":{{"id":{id}}}}}'
    )
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_show_answers_exactly_this(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    """The seed's sample: a call of 2018-08-02 from ramal 4000."""
    at = datetime(2018, 8, 2, 13, 49, 30, tzinfo=UTC)
    ended = {"status": "atendida", "causa": 16, "data_inicio": at - timedelta(seconds=1)}
    spoken = {"duracao_segundos": 29, "duracao_cobrada_segundos": 60, "duracao_falada_segundos": 28}
    id = await add_chamada(
        house,
        conta.id,
        at,
        origem=RAMAL | ended | spoken | {"preco": Decimal(0), "bina": "+27921815114"},
        destino=MOVEL | ended | spoken | {"preco": Decimal("0.350000"), "substatus": "caixa_postal"},
        tags="minhas-tags",
        gravar_audio=True,
    )
    dados = done(await client.get(f"/chamada/{id}"), "dados retornados com sucesso")
    leg = {
        "data_inicio": "2018-08-02T10:49:29-03:00",
        "status": "atendida",
        "duracao_segundos": 29,
        "duracao": "00:00:29",
        "duracao_cobrada_segundos": 60,
        "duracao_cobrada": "00:01:00",
        "duracao_falada_segundos": 28,
        "duracao_falada": "00:00:28",
        "motivo_desconexao": "16. normal",
    }
    assert {key: dados[key] for key in KEYS} == {
        "id": id,
        "data_criacao": "2018-08-02T10:49:30-03:00",
        "ativa": False,
        "url_gravacao": None,
        "cliente_id": conta.id,
        "conta_id": conta.id,
        "ramal_id_origem": None,
        "tags": "minhas-tags",
        "status_geral": "finalizada",
        "detecta_caixa": False,
        "gravar_audio": True,
        "origem": leg
        | {"numero": "4000", "tipo": "ramal", "substatus": None, "preco": 0, "bina_origem": "+27921815114"},
        "destino": leg
        | {
            "numero": "48999990000",
            "tipo": "movel",
            "substatus": "caixa_postal",
            "preco": 0.35,
            "bina_destino": None,
        },
        "avaliacao": None,
    }
    assert list(dados) == list(ChamadaObjeto.model_fields), "what is answered is what is documented"
    assert list(dados["origem"]) == [*LEG_KEYS, "bina_origem"]
    assert list(dados["destino"]) == [*LEG_KEYS, "bina_destino"]


async def test_the_documented_keys_come_first_and_in_order() -> None:
    assert list(ChamadaObjeto.model_fields)[: len(KEYS)] == KEYS
    assert list(OrigemObjeto.model_fields) == [*LEG_KEYS, "bina_origem"]
    assert list(DestinoObjeto.model_fields) == [*LEG_KEYS, "bina_destino"]


async def test_a_call_through_its_life(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, changed: asyncio.Event, done: Done
) -> None:
    fake.behaviour(A, ring=0.0)
    fake.behaviour(B, ring=0.0)
    id = done(await client.post("/chamada", json=PEDIDO | {"tags": "clienteUm"}))["id"]
    born = done(await client.get(f"/chamada/{id}"))
    assert born["status_geral"] in ("criada", "curso") and born["origem"]["motivo_desconexao"] == "indefinido"

    await until(changed, lambda: (leg := fake.legs.get(f"{id}-a")) and leg.ringing.done())
    await flushed(house)
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["status_geral"], dados["ativa"], dados["tags"]) == ("curso", True, "clienteUm")
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("chamando", "preparando")
    assert ZONED.fullmatch(dados["data_criacao"]) and ZONED.fullmatch(dados["origem"]["data_inicio"])
    assert dados["destino"]["data_inicio"] is None

    fake.legs[f"{id}-a"].far_answers()
    await until(changed, lambda: (leg := fake.legs.get(f"{id}-b")) and leg.ringing.done())
    await flushed(house)
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("atendida", "chamando")

    fake.legs[f"{id}-b"].far_refuses(486)
    await house.runner.drain(5)
    dados = ChamadaObjeto.model_validate(done(await client.get(f"/chamada/{id}")), strict=True)
    assert (dados.status_geral, dados.ativa) == ("finalizada", False)
    assert dados.destino is not None and (dados.destino.status, dados.destino.motivo_desconexao) == (
        "ocupado",
        "17. ocupado",
    )
    assert dados.destino.preco == 0 and dados.destino.duracao_falada == "00:00:00"
    assert dados.origem is not None and dados.origem.motivo_desconexao == "16. normal"
    assert (dados.origem.duracao_cobrada_segundos, dados.origem.preco) == (60, 0.12)


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_hang_up(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused, method: str
) -> None:
    fake.behaviour(A, ring=0.0)
    id = done(await client.post("/chamada", json=PEDIDO))["id"]
    answer = await client.request(method, f"/chamada/{id}")
    assert answer.text == '{"status":200,"sucesso":true,"motivo":0,"mensagem":"encerrando chamada","dados":null}'
    await house.runner.drain(5)
    dados = done(await client.get(f"/chamada/{id}"))
    assert dados["status_geral"] == "finalizada"
    assert dados["origem"]["status"] == dados["destino"]["status"] == "cancelada"
    assert dados["origem"]["preco"] == dados["destino"]["preco"] == 0
    assert dados["destino"]["duracao"] == "00:00:00"
    refused(await client.request(method, f"/chamada/{id}"), 405, 80, "não está ativa")


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_scheduled_call_is_cancelled(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused, method: str
) -> None:
    when = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    id = done(await client.post("/chamada", json=PEDIDO | {"data_criacao": when}))["id"]
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["status_geral"], dados["ativa"], dados["origem"]["status"]) == ("criada", False, "preparando")
    assert house.runner.active() == 0 and fake.dialled == []
    assert done(await client.request(method, f"/chamada/{id}"), "encerrando chamada") is None
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["status_geral"], dados["destino"]["status"]) == ("finalizada", "cancelada")
    refused(await client.request(method, f"/chamada/{id}"), 405, 80)

    def reserved(session: Session) -> Decimal:
        kinds = {"reserve": Decimal(1), "release": Decimal(-1), "capture": Decimal(0)}
        return sum((kinds[row.kind] * row.valor for row in session.scalars(select(LedgerEntry))), Decimal(0))

    assert await house.storage.read(reserved) == 0, "the money set aside is given back"


async def test_a_call_to_a_ramal(client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done) -> None:
    ramal = done(await client.post("/ramal"))
    fake.register(ramal["sip"]["usuario"], "d1", Behaviour(ring=0.0, answer=0.01, hang_up=0.02))
    fake.behaviour(B, ring=0.0, answer=0.01)
    body = {"numero_origem": int(ramal["ramal"]), "numero_destino": B, "bina_origem": "48 3283-0151"}
    id = done(await client.post("/chamada", json=body))["id"]
    await house.runner.drain(5)
    dados = done(await client.get(f"/chamada/{id}"))
    assert dados["ramal_id_origem"] == ramal["id"]
    assert (dados["origem"]["tipo"], dados["origem"]["numero"]) == ("ramal", "4000")
    assert dados["origem"]["bina_origem"] == "48 3283-0151", "as the client gave it"
    assert fake.dialled[0][2].numero == "4832830151"


# -- the refusals of the table --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "[]", "1", "null", '"x"', "{'a': 1}", "\x00"])
async def test_400_100_no_object(client: httpx2.AsyncClient, refused: Refused, content: str) -> None:
    refused(await client.post("/chamada", content=content), 400, 100, "objeto JSON")


async def test_402_9_no_money(client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, refused: Refused) -> None:
    await set_conta(house, conta.id, saldo=Decimal("0.23"))  # two legs of R$ 0.12 need 0.24
    refused(await client.post("/chamada", json=PEDIDO), 402, 9, "saldo")
    assert await chamadas(house) == 0
    await set_conta(house, conta.id, saldo=Decimal("0.24"))
    assert (await client.post("/chamada", json=PEDIDO)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/chamada"),
        ("GET", "/chamada/1"),
        ("DELETE", "/chamada/1"),
        ("POST", "/chamada/1"),
        ("GET", "/chamada/1/gravacao"),
        ("GET", "/chamada/relatorio"),
    ],
)
@pytest.mark.parametrize("token", [None, "", "errado", "token-da-conta-1x"])
async def test_403_40_wrong_token(
    client: httpx2.AsyncClient, refused: Refused, method: str, path: str, token: str | None
) -> None:
    del client.headers["Access-Token"]
    headers = {} if token is None else {"Access-Token": token}
    refused(await client.request(method, path, headers=headers, content="{"), 403, 40, "Access-Token")


async def test_403_8_international(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, refused: Refused
) -> None:
    body = PEDIDO | {"numero_destino": "+14155552671"}
    refused(await client.post("/chamada", json=body), 403, 8, "numero_destino", "internacionais")
    await set_conta(house, conta.id, internacional=True)
    refused(await client.post("/chamada", json=body), 405, 11, "numero_destino", "telefonista tronco add")
    assert await chamadas(house) == 0


async def test_403_8_a_class_without_tariff(client: httpx2.AsyncClient, house: House, refused: Refused) -> None:
    def trunk(session: Session) -> None:
        session.add(Tronco(nome="t", host="192.0.2.1", classes="fixo,movel,0800", criado_em=datetime.now(UTC)))

    await house.storage.write(trunk)
    refused(await client.post("/chamada", json=PEDIDO | {"numero_destino": "08001234567"}), 403, 8, "0800")


async def test_404_60_not_of_this_conta(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, house: House, conta: ContaDeTeste, refused: Refused
) -> None:
    id = await add_chamada(house, conta.id, datetime.now(UTC))
    answers = []
    for who, other in ((stranger, id), (client, id + 1), (client, 2**31 - 1), (client, 2**31), (client, 0)):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", ""), ("GET", "/gravacao")):
            answer = await who.request(method, f"/chamada/{other}{path}")
            refused(answer, 404, 60)
            answers.append(answer.json()["mensagem"])
    assert len(set(answers[:8])) == 1, "another conta's object is refused in the words of one that is not there"
    listed = (await stranger.get("/chamada/relatorio")).json()["dados"]
    assert listed["total"] == 0 and listed["relatorio"] == []


@pytest.mark.parametrize("path", ["/", "/nada", "/chamadas", "/chamada/1/x", "/chamada/1/gravacao/2", "/v1/chamada"])
async def test_404_90_no_such_path(client: httpx2.AsyncClient, refused: Refused, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        refused(await client.request(method, path, content="{"), 404, 90, "/docs")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/chamada/1", "DELETE, GET, POST"),
        ("DELETE", "/chamada", "POST"),
        ("GET", "/chamada", "POST"),
        ("PATCH", "/chamada/1/gravacao", "GET, POST, PUT, DELETE"),
        ("BREW", "/chamada/1", "DELETE, GET, POST"),
    ],
)
async def test_405_90_no_such_method(
    client: httpx2.AsyncClient, refused: Refused, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    refused(answer, 405, 90, method)
    assert set(allowed.split(", ")) <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("nothing", ["missing", None, "", "  ", 0, "0", "000"])
async def test_405_10_required(client: httpx2.AsyncClient, refused: Refused, nothing: object) -> None:
    for field in PEDIDO:
        body: dict[str, Any] = PEDIDO | {field: nothing}
        if nothing == "missing":
            del body[field]
        refused(await client.post("/chamada", json=body), 405, 10, f"o campo {field} é obrigatório")
    refused(await client.post("/chamada"), 405, 10, "numero_origem", "numero_destino")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("numero_destino", "190", "emergência"),
        ("numero_destino", "911", "emergência"),
        ("numero_destino", "112", "emergência"),
        ("numero_destino", "0190", "emergência"),
        ("numero_origem", "193", "emergência"),
        ("numero_destino", "4999", "ramal"),
        ("numero_destino", "32830151", "DDD"),
        ("numero_destino", "abc", "dígitos"),
        ("numero_destino", "4832830151", "telefonista tronco add"),
        ("numero_destino", "9" * 41, "40"),
        ("numero_origem", {"a": 1}, "texto"),
        ("numero_origem", [A], "texto"),
        ("numero_origem", True, "texto"),
        ("numero_origem", 1.5, "texto"),
        ("gravar_audio", "talvez", "true ou false"),
        ("gravar_audio", 2, "true ou false"),
        ("detecta_caixa", {}, "true ou false"),
        ("data_criacao", "amanhã", "AAAA-MM-DD"),
        ("data_criacao", 20180802, "AAAA-MM-DD"),
        ("data_criacao", "2018-13-01", "AAAA-MM-DD"),
        ("data_criacao", "2018-08-02T10:49:30-03:00", "futura"),
        ("tags", "x" * 256, "255"),
        ("tags", ["a"], "texto"),
        ("tags", "a\x00b", "controle"),
        ("bina_origem", "Maria", "DDD"),
        ("bina_destino", '4832830151" <sip:x@y>', "DDD"),
    ],
)
async def test_405_11_invalid(
    client: httpx2.AsyncClient, house: House, refused: Refused, field: str, value: object, words: str
) -> None:
    refused(await client.post("/chamada", json=PEDIDO | {field: value}), 405, 11, f"o campo {field} ", words)
    assert await chamadas(house) == 0


@pytest.mark.parametrize("id", ["abc", "1.5", "%00", "1e3", "%C3%A9", "relatorios", "9" * 40])
async def test_405_11_an_id_that_is_no_number(client: httpx2.AsyncClient, refused: Refused, id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", ""), ("GET", "/gravacao")):
        refused(await client.request(method, f"/chamada/{id}{path}"), 405, 11, "id")


async def test_413_too_large(client: httpx2.AsyncClient, refused: Refused) -> None:
    refused(await client.post("/chamada", json=PEDIDO | {"x": "a" * MAX_BODY}), 413, 100, str(MAX_BODY))


@pytest.mark.parametrize("draining", [False, True])
async def test_503_50_no_engine(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, refused: Refused, draining: bool
) -> None:
    if draining:
        house.runner.draining = True
    else:
        fake.crash()
    answer = await client.post("/chamada", json=PEDIDO)
    refused(answer, 503, 50, "nada foi criado")
    assert int(answer.headers["retry-after"]) >= 1
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert await chamadas(house) == 0
    assert (await client.get("/chamada/relatorio")).status_code == 200, "what needs no engine goes on"
    refused(await client.post("/chamada", json={}), 405, 10)


# -- Idempotency-Key ------------------------------------------------------------------------------------------------


async def test_a_repeated_key_places_no_second_call(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, house: House, fake: FakeEngine, refused: Refused
) -> None:
    fake.behaviour(A, refuse=486, refuse_at=0.0)
    key = {"Idempotency-Key": " pedido 1 "}
    first = await client.post("/chamada", json=PEDIDO, headers=key)
    again = await client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "pedido 1"})
    respelled = await client.post("/chamada", data={"NumeroDestino": B, "NumeroOrigem": A}, headers=key)
    assert first.status_code == 200 and first.content == again.content == respelled.content
    refused(await client.post("/chamada", json=PEDIDO | {"tags": "x"}, headers=key), 422, 20, "Idempotency-Key")
    assert await chamadas(house) == 1
    other = await stranger.post("/chamada", json=PEDIDO, headers=key)
    assert other.json()["dados"]["id"] != first.json()["dados"]["id"], "each conta has its own keys"
    await house.runner.drain(5)
    assert [id for id, *_ in fake.dialled] == [f"{answer.json()['dados']['id']}-a" for answer in (first, other)]


async def test_a_repeated_key_needs_no_engine(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, refused: Refused
) -> None:
    key = {"Idempotency-Key": "k"}
    first = await client.post("/chamada", json=PEDIDO, headers=key)
    fake.crash()
    assert (await client.post("/chamada", json=PEDIDO, headers=key)).content == first.content
    refused(await client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "k2"}), 503, 50)
    assert await chamadas(house) == 1


async def test_many_at_once_with_one_key(client: httpx2.AsyncClient, house: House, fake: FakeEngine) -> None:
    fake.behaviour(A, refuse=486, refuse_at=0.0)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "k"})) for _ in range(20)
        ]
    assert len({task.result().content for task in tasks}) == 1 and tasks[0].result().status_code == 200
    assert await chamadas(house) == 1


async def test_a_refused_request_keeps_no_key(client: httpx2.AsyncClient, house: House, refused: Refused) -> None:
    key = {"Idempotency-Key": "k"}
    refused(await client.post("/chamada", json=PEDIDO | {"numero_destino": "190"}, headers=key), 405, 11)
    assert (await client.post("/chamada", json=PEDIDO, headers=key)).status_code == 200
    refused(await client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "k" * 256}), 405, 11, "255")


# -- data_criacao ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-55, 0])
async def test_a_date_just_past_is_now(client: httpx2.AsyncClient, house: House, done: Done, seconds: int) -> None:
    when = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    done(await client.post("/chamada", json=PEDIDO | {"data_criacao": when}))
    assert house.runner.active() == 1


@pytest.mark.parametrize(
    "text", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S.000Z"]
)
async def test_without_offset_the_schedule_is_utc(
    client: httpx2.AsyncClient, house: House, done: Done, text: str
) -> None:
    when = (datetime.now(UTC) + timedelta(minutes=90)).replace(microsecond=0)
    id = done(await client.post("/chamada", json=PEDIDO | {"data_criacao": when.strftime(text)}))["id"]
    row = await house.storage.read(lambda session: session.get_one(Chamada, id))
    assert row.agendada_para == when and house.runner.active() == 0


@pytest.mark.parametrize("nothing", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00"])
async def test_no_date_is_now(client: httpx2.AsyncClient, house: House, done: Done, nothing: object) -> None:
    done(await client.post("/chamada", json=PEDIDO | {"data_criacao": nothing}))
    assert house.runner.active() == 1


async def test_prices_are_numbers_and_ids_grow(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    ids = []
    for price in ("0", "0.1", "0.120000", "1234567.654321"):
        leg = FIXO | {"preco": Decimal(price)}
        ids.append(await add_chamada(house, conta.id, datetime.now(UTC), origem=leg))
        text = (await client.get(f"/chamada/{ids[-1]}")).text
        written = price.rstrip("0").rstrip(".") if "." in price else price
        assert f'"preco":{written},' in text
    assert ids == sorted(ids) and len(set(ids)) == 4
    assert done(await client.get(f"/chamada/{ids[0]}"))["id"] < 2**31
