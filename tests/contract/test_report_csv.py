"""/chamada/relatorio?formato=csv: the table itself, in constant memory, and no reading for who went away."""

import asyncio
import csv
import io
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.chamada import report_csv
from telefonista.chamada.report_rows import Cursor, Filtro, list_chamadas, next_chamadas
from telefonista.dialect.dates import Limites
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Conta, Perna
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import FIXO, MOVEL, RAMAL, TARIFA, add_chamada, add_gravacao

pytest_plugins = ["tests.databases"]

Done = Callable[..., Any]
Refused = Callable[..., None]

NOON = datetime(2018, 8, 2, 15, tzinfo=UTC)
DAY = {"data_inicio": "2018-08-02", "data_fim": "2018-08-02", "formato": "csv"}


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_the_table(client: httpx2.AsyncClient, house: House, conta: ContaDeTeste) -> None:
    origem = FIXO | {
        "status": "atendida",
        "data_inicio": NOON,
        "atendida_em": NOON + timedelta(seconds=4),
        "encerrada_em": NOON + timedelta(seconds=64),
        "causa": 16,
        "duracao_segundos": 64,
        "duracao_falada_segundos": 60,
        "duracao_cobrada_segundos": 60,
        "preco": Decimal("0.12"),
    }
    id = await add_chamada(
        house, conta.id, NOON, origem=origem, tags='um "pedido", com\r\nlinhas', desfecho="origem desligou"
    )
    await add_gravacao(house, conta.id, id, b"mp3")
    answer = await client.get("/chamada/relatorio", params=DAY)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="chamadas.csv"'
    assert answer.text.partition("\r\n")[0] == ",".join(report_csv.COLUMNS)
    (row,) = table(answer.text)
    assert row == {
        "id": str(id),
        "data_criacao": "2018-08-02T12:00:00-03:00",
        "data_fim": "",
        "status_geral": "finalizada",
        "desfecho": "origem desligou",
        "ramal_id_origem": "",
        "tags": 'um "pedido", com\r\nlinhas',
        "nota": "",
        "comentario": "",
        "origem_numero": "4832830151",
        "origem_tipo": "fixo",
        "origem_status": "atendida",
        "origem_data_inicio": "2018-08-02T12:00:00-03:00",
        "origem_data_atendimento": "2018-08-02T12:00:04-03:00",
        "origem_duracao_segundos": "64",
        "origem_duracao_falada_segundos": "60",
        "origem_duracao_cobrada_segundos": "60",
        "origem_preco": "0.12",
        "origem_motivo_desconexao": "16. normal",
        "destino_numero": "48999990000",
        "destino_tipo": "movel",
        "destino_status": "preparando",
        "destino_data_inicio": "",
        "destino_data_atendimento": "",
        "destino_duracao_segundos": "0",
        "destino_duracao_falada_segundos": "0",
        "destino_duracao_cobrada_segundos": "0",
        "destino_preco": "0",
        "destino_motivo_desconexao": "indefinido",
        "pernas": "2",
        "preco_total": "0.12",
        "url_gravacao": (await client.get(f"/chamada/{id}")).json()["dados"]["url_gravacao"],
    }


async def test_an_empty_table_has_its_header(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/chamada/relatorio", params=DAY)).text == ",".join(report_csv.COLUMNS) + "\r\n"


async def test_all_of_the_bounds_in_order(
    client: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    house: House,
    conta: ContaDeTeste,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_csv, "ROWS_AT_A_TIME", 2)
    late = await add_chamada(house, conta.id, NOON + timedelta(hours=1), origem=RAMAL, destino=FIXO)
    same = [await add_chamada(house, conta.id, NOON, origem=FIXO, destino=MOVEL) for _ in range(5)]
    await add_chamada(house, conta.id, NOON + timedelta(days=1))
    await add_chamada(house, conta.id, NOON, recurso="conferencia")

    async def ids(**more: Any) -> list[int]:
        return [int(row["id"]) for row in table((await client.get("/chamada/relatorio", params=DAY | more)).text)]

    assert await ids() == [*same, late]
    assert await ids(posicao=2, limite=1) == [*same, late], "pages are for JSON"
    assert await ids(origem="48 3283-0151") == same
    assert await ids(origem="4000", destino="4832830151") == [late]
    assert await ids(origem="4001") == []
    assert await ids(formato="CSV") == [*same, late]
    assert table((await stranger.get("/chamada/relatorio", params=DAY)).text) == []


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("\tx", "'\tx"),
        ("+554832830151", "+554832830151"),
        ("-5", "-5"),
        ("a=b", "a=b"),
    ],
)
async def test_no_cell_is_a_formula(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, tags: str, shown: str
) -> None:
    await add_chamada(house, conta.id, NOON, tags=tags)
    assert table((await client.get("/chamada/relatorio", params=DAY)).text)[0]["tags"] == shown


async def test_what_is_refused(client: httpx2.AsyncClient, refused: Refused) -> None:
    refused(await client.get("/chamada/relatorio?formato=xml"), 405, 11, "formato", "informe json ou csv")
    refused(await client.get("/chamada/relatorio?formato=csv&data_inicio=ontem"), 405, 11, "data_inicio")
    refused(
        await client.get("/chamada/relatorio?formato=csv", headers={"Access-Token": "errado"}),
        403,
        40,
    )


# -- long tables ----------------------------------------------------------------------------------------------------


def add_many(session: Session, conta_id: int, count: int) -> None:
    """So many chamadas, one a second; every tenth is from the ramal."""
    first = 1_000_000
    same = {"conta_id": conta_id, "status_geral": "finalizada", "limite_segundos": 60, "toque_segundos": 30}
    session.execute(
        insert(Chamada),
        [
            same | {"id": first + n, "data_criacao": NOON + timedelta(seconds=n), "tags": f"pedido {n}".ljust(200, ".")}
            for n in range(count)
        ],
    )
    for letra, papel in (("a", "origem"), ("b", "destino")):
        session.execute(
            insert(Perna),
            [
                {"chamada_id": first + n, "letra": letra, "papel": papel, "tarifa": TARIFA}
                | (MOVEL if papel == "destino" else RAMAL if n % 10 == 0 else FIXO)
                for n in range(count)
            ],
        )


class Reader:
    """A client at the other end of the wire, who keeps nothing. `goes_after` chunks it is gone."""

    def __init__(self, token: str, goes_after: float = float("inf")) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/chamada/relatorio",
            "raw_path": b"/chamada/relatorio",
            "root_path": "",
            "scheme": "http",
            "query_string": b"formato=csv&data_inicio=2018-08-01&data_fim=2018-08-31",
            "headers": [(b"access-token", token.encode()), (b"host", b"api")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.chunks = self.lines = self.size = 0
        self._goes_after, self._gone, self._asked = goes_after, asyncio.Event(), False

    async def read(self, app: FastAPI) -> None:
        await app(self.scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.chunks += 1
            self.lines += message.get("body", b"").count(b"\r\n")
            self.size += len(message.get("body", b""))
            if self.chunks >= self._goes_after or not message.get("more_body"):
                self._gone.set()


async def test_memory_does_not_grow_with_the_table(app: FastAPI, house: House, conta: ContaDeTeste) -> None:
    await house.storage.write(add_many, conta.id, 50_000)
    await Reader(conta.token, goes_after=5).read(app)  # whatever is kept from the first time on
    reader = Reader(conta.token)
    tracemalloc.start(1)
    try:
        await reader.read(app)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.lines == 50_001
    assert peak < reader.size / 2, (peak, reader.size)


async def test_who_goes_away_is_not_read_for(
    app: FastAPI, house: House, conta: ContaDeTeste, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.storage.write(add_many, conta.id, 1000)
    monkeypatch.setattr(report_csv, "ROWS_AT_A_TIME", 10)
    turns = 0
    stretch = report_csv._stretch

    def counted(*arguments: Any) -> Any:
        nonlocal turns
        turns += 1
        return stretch(*arguments)

    monkeypatch.setattr(report_csv, "_stretch", counted)
    reader = Reader(conta.token, goes_after=4)
    async with asyncio.timeout(10):
        await reader.read(app)
    assert turns < 10 and reader.chunks < 10
    whole = Reader(conta.token)
    turns = 0
    await whole.read(app)
    assert (turns, whole.lines) == (101, 1001)


# -- on both databases ----------------------------------------------------------------------------------------------


@pytest.fixture
async def filled(storage: Storage) -> Storage:
    def unit(session: Session) -> None:
        for id in (1, 2):
            session.add(Conta(id=id, nome="c", token_hash=str(id), saldo=Decimal(1), criada_em=NOON))
        session.flush()
        add_many(session, 1, 1000)

    await storage.write(unit)
    return storage


NUMBERS = [
    ({}, 1000),
    ({"origem": "4000"}, 100),
    ({"origem": FIXO["e164"], "destino": MOVEL["e164"]}, 900),
    ({"destino": "4000"}, 0),
]


@pytest.mark.parametrize(("numbers", "count"), NUMBERS)
async def test_the_pages_and_the_stretches_are_the_same(filled: Storage, numbers: dict[str, str], count: int) -> None:
    filtro = Filtro(1, Limites(NOON, NOON + timedelta(days=1)), **numbers)
    paged: list[int] = []
    while True:
        total, page = await filled.read(list_chamadas, filtro, posicao=len(paged), limite=180)
        assert total == count
        if not page:
            break
        paged += [vista.chamada.id for vista in page]
        assert all([perna.letra for perna in vista.pernas] == ["a", "b"] for vista in page)
    stretched: list[int] = []
    after: Cursor | None = None
    while True:
        vistas, after = await filled.read(next_chamadas, filtro, after, 170)
        stretched += [vista.chamada.id for vista in vistas]
        if after is None:
            break
    assert paged == stretched == sorted(paged)
    assert len(paged) == count


async def test_only_what_is_within_and_ones_own(filled: Storage) -> None:
    some = Limites(NOON + timedelta(seconds=100), NOON + timedelta(seconds=150))
    assert (await filled.read(list_chamadas, Filtro(1, some), posicao=0, limite=10))[0] == 50
    assert (await filled.read(list_chamadas, Filtro(1, some, origem="4000"), posicao=0, limite=10))[0] == 5
    assert (await filled.read(list_chamadas, Filtro(2, Limites(None, None)), posicao=0, limite=10)) == (0, [])
    assert (await filled.read(list_chamadas, Filtro(2, Limites(None, None), "4000"), posicao=0, limite=10))[0] == 0
