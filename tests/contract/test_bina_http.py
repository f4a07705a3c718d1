"""Binas over HTTP: made, confirmed by the code that was spoken, listed, removed; and what a chamada may show."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from telefonista.bina import http
from telefonista.bina.flow import speak_code
from telefonista.bina.http import BinaObjeto
from telefonista.calling.house import House
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import TrunkAccount
from telefonista.storage.tables import Bina, Chamada, Tronco
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

MINE, OUTSIDE, REDE = "4832830151", "4830300000", "1030000001"
MADE = "ligando para o número: confirme o código que ele ouvir"


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codes that were spoken, as the far end hears them."""
    heard: list[str] = []

    def spy(codigo: str, avisos: Any) -> Any:
        heard.append(codigo)
        return speak_code(codigo, avisos)

    monkeypatch.setattr(http, "speak_code", spy)
    return heard


@pytest.fixture
async def trunk(house: House, fake: FakeEngine) -> int:
    """A carrier for fixo numbers, without a bina of its own; its id."""

    def unit(session: Session) -> int:
        tronco = Tronco(nome="op", host="sip.test", classes="fixo", criado_em=datetime.now(UTC))
        session.add(tronco)
        session.flush()
        return tronco.id

    id = await house.storage.write(unit)
    await fake.put_trunk(TrunkAccount(f"tronco-{id}", "sip.test", 5060, "udp"))
    return id


async def earlier(house: House, seconds: float) -> None:
    """So many seconds pass."""
    step = timedelta(seconds=seconds)

    def unit(session: Session) -> None:
        for chamada in session.scalars(select(Chamada)):
            chamada.data_criacao -= step
        for bina in session.scalars(select(Bina)):
            bina.expira_em = bina.expira_em and bina.expira_em - step

    await house.storage.write(unit)


async def test_a_bina_is_made_and_confirmed(
    client: httpx2.AsyncClient, house: House, done: Done, refused: Refused, codes: list[str], trunk: int
) -> None:
    made = done(await client.post("/bina", json={"numero": "(48) 3283-0151"}), MADE)
    assert list(made) == ["id", "chamada_id"]
    bina = done(await client.get(f"/bina/{made['id']}"))
    assert list(bina) == list(BinaObjeto.model_fields)
    assert (bina["numero"], bina["confirmada"], bina["data_confirmacao"]) == (MINE, False, None)
    assert bina["codigo_valido_ate"] is not None
    (code,) = codes
    assert re.fullmatch("[1-9][0-9]{5}", code)
    assert code not in str(done(await client.get("/bina"))), "it is heard, not read"
    wrong = "100000" if code != "100000" else "100001"
    refused(await client.post(f"/bina/{made['id']}/confirmar", json={"codigo": wrong}), 405, 11, "restam 4")
    refused(await client.post(f"/bina/{made['id']}/confirmar", json={}), 405, 10, "codigo")
    assert done(await client.post(f"/bina/{made['id']}/confirmar", json={"codigo": int(code)})) is None
    done(await client.post(f"/bina/{made['id']}/confirmar", json={"codigo": wrong}), "bina confirmada com sucesso")
    bina = done(await client.get(f"/bina/{made['id']}"))
    assert bina["confirmada"] and bina["data_confirmacao"] and bina["codigo_valido_ate"] is None
    refused(await client.post(f"/bina/{made['id']}/codigo"), 405, 20, "confirmada")
    await house.runner.end_all()


async def test_the_call_that_speaks_is_a_chamada_with_one_perna(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, conta: ContaDeTeste
) -> None:
    id = done(await client.post("/bina", json={"numero": "1030000003"}))["chamada_id"]
    await house.runner.drain(5)
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["status_geral"], dados["destino"], dados["tags"]) == ("finalizada", None, "confirmação de bina")
    assert (dados["origem"]["numero"], dados["origem"]["status"], dados["origem"]["preco"]) == (
        "1030000003", "ocupado", 0,
    )  # fmt: skip
    assert [perna["papel"] for perna in dados["pernas"]] == ["origem"]
    assert done(await client.get("/chamada/relatorio"))["relatorio"] == [dados]
    assert done(await client.get("/chamada/relatorio?destino=1030000003"))["total"] == 0


async def test_five_wrong_codes_void_it(
    client: httpx2.AsyncClient, house: House, done: Done, refused: Refused, codes: list[str]
) -> None:
    id = done(await client.post("/bina", json={"numero": REDE}))["id"]
    for left in (4, 3, 2, 1):
        refused(await client.post(f"/bina/{id}/confirmar", json={"codigo": "0"}), 405, 11, f"restam {left}")
    refused(await client.post(f"/bina/{id}/confirmar", json={"codigo": "0"}), 405, 11, "peça outro")
    refused(await client.post(f"/bina/{id}/confirmar", json={"codigo": codes[0]}), 405, 11, "peça outro")
    await earlier(house, 61)
    again = done(await client.post(f"/bina/{id}/codigo"), MADE)
    assert again["id"] == id
    assert done(await client.post(f"/bina/{id}/confirmar", json={"codigo": codes[1]})) is None
    await house.runner.end_all()


async def test_a_code_is_good_for_15_minutes(
    client: httpx2.AsyncClient, house: House, done: Done, refused: Refused, codes: list[str]
) -> None:
    id = done(await client.post("/bina", json={"numero": REDE}))["id"]
    await earlier(house, 15 * 60 - 5)
    refused(await client.post(f"/bina/{id}/confirmar", json={"codigo": "0"}), 405, 11, "restam")
    await earlier(house, 6)
    refused(await client.post(f"/bina/{id}/confirmar", json={"codigo": codes[0]}), 405, 11, "peça outro")
    await house.runner.end_all()


async def test_a_number_is_not_called_too_often(
    client: httpx2.AsyncClient, house: House, done: Done, refused: Refused, conta: ContaDeTeste
) -> None:
    made = done(await client.post("/bina", json={"numero": "1030000003"}))
    early = await client.post(f"/bina/{made['id']}/codigo")
    refused(early, 429, 100)
    assert 55 <= int(early.headers["retry-after"]) <= 60
    done(await client.delete(f"/bina/{made['id']}"), "bina removida com sucesso")
    refused(await client.post("/bina", json={"numero": "1030000003"}), 429, 100)  # nor by making it anew
    refused(await client.get(f"/bina/{made['id']}"), 404, 60)
    await earlier(house, 60)
    id = done(await client.post("/bina", json={"numero": "1030000003"}))["id"]
    for _ in range(8):
        await earlier(house, 60)
        done(await client.post(f"/bina/{id}/codigo"))
    await earlier(house, 60)
    late = await client.post(f"/bina/{id}/codigo")
    refused(late, 429, 100)
    assert int(late.headers["retry-after"]) > 80_000
    await house.runner.drain(5)


async def test_refusals(
    client: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    house: House,
    fake: FakeEngine,
    done: Done,
    refused: Refused,
    conta: ContaDeTeste,
) -> None:
    refused(await client.post("/bina", json={}), 405, 10, "numero")
    for numero, word in (("4000", "DDD"), ("190", "emergência"), ("abc", "dígitos"), (OUTSIDE, "tronco")):
        refused(await client.post("/bina", json={"numero": numero}), 405, 11, "numero", word)
    refused(await client.post("/bina", json={"numero": "+14155552671"}), 403, 8, "internacionais")
    id = done(await client.post("/bina", json={"numero": REDE}))["id"]
    refused(await client.post("/bina", json={"numero": "+55" + REDE}), 405, 20, "numero")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/codigo"), ("POST", "/confirmar")):
        refused(await stranger.request(method, f"/bina/{id}{path}", json={"codigo": "1"}), 404, 60)
    assert done(await stranger.get("/bina"))["total"] == 0
    await house.runner.end_all()
    await set_conta(house, conta.id, saldo=Decimal("0.05"))
    refused(await client.post("/bina", json={"numero": "1030000002"}), 402, 9)
    await set_conta(house, conta.id, saldo=Decimal(100))
    fake.crash()
    house.runner.draining = True
    refused(await client.post("/bina", json={"numero": "1030000002"}), 503, 50)
    house.runner.draining = False
    assert done(await client.get("/bina"))["total"] == 1, "what was refused was not made"


async def test_a_repeated_key_calls_once(
    client: httpx2.AsyncClient, house: House, done: Done, refused: Refused, codes: list[str]
) -> None:
    key = {"Idempotency-Key": "bina-1"}
    made = done(await client.post("/bina", json={"numero": REDE}, headers=key))
    assert done(await client.post("/bina", json={"Numero": REDE}, headers=key)) == made
    refused(await client.post("/bina", json={"numero": "1030000002"}, headers=key), 422, 20)
    assert len(codes) == 1
    await house.runner.end_all()


async def test_the_list_has_pages(client: httpx2.AsyncClient, house: House, done: Done, conta: ContaDeTeste) -> None:
    now = datetime.now(UTC)

    def unit(session: Session) -> None:
        session.add_all(Bina(conta_id=conta.id, numero=f"+55483283015{n}", criada_em=now) for n in range(3))

    await house.storage.write(unit)
    for path in ("/bina", "/bina/relatorio"):
        page = done(await client.get(path, params={"posicao": 1, "limite": 1}))
        assert (page["total"], page["posicao"], page["limite"]) == (3, 1, 1)
        assert [bina["numero"] for bina in page["relatorio"]] == ["4832830151"]


async def test_what_a_chamada_may_show(
    client: httpx2.AsyncClient,
    house: House,
    fake: FakeEngine,
    done: Done,
    refused: Refused,
    conta: ContaDeTeste,
    trunk: int,
) -> None:
    wish = {"numero_origem": OUTSIDE, "numero_destino": REDE}
    fake.behaviour(OUTSIDE, answer=0.0)

    async def shown(**fields: str) -> tuple[str, str]:
        """What origem, by the trunk, and destino, inside, were shown."""
        id = done(await client.post("/chamada", json=wish | fields))["id"]
        desk = house.runner.desk(id)
        assert desk is not None
        async with asyncio.timeout(5):
            await desk.live.joined()
        await house.runner.end_all()
        dados = done(await client.get(f"/chamada/{id}"))
        assert dados["origem"]["bina_origem"] == fields.get("bina_origem"), "as it was asked for"
        binas = {leg: bina.numero for leg, _, bina in fake.dialled}
        return binas[f"{id}-a"], binas[f"{id}-b"]

    asked = {"bina_origem": "+55 48 3283-0151"}
    later = {"data_criacao": "2099-01-01 10:00:00 UTC"}
    for more in ({}, later):
        refused(await client.post("/chamada", json=wish | asked | more), 403, 8, "bina_origem", "/bina")
    assert done(await client.get("/chamada/relatorio"))["total"] == 0
    assert await shown() == ("", OUTSIDE), "not the number of somebody else"
    assert await shown(bina_destino=MINE) == ("", MINE)

    def confirm(session: Session) -> None:
        now = datetime.now(UTC)
        session.add(Bina(conta_id=conta.id, numero=f"+55{MINE}", criada_em=now, confirmada_em=now))

    await house.storage.write(confirm)
    assert await shown(**asked) == (MINE, OUTSIDE)
    assert await shown() == (MINE, OUTSIDE)

    def own(session: Session) -> None:
        session.execute(update(Tronco).values(bina="1140040000"))

    await house.storage.write(own)
    assert await shown(bina_origem="11999990000") == ("1140040000", OUTSIDE)
