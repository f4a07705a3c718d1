"""/chamada/relatorio: order, pages, filters, and the edges of days in the conta's zone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from telefonista.calling.house import House
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import FIXO, MOVEL, RAMAL, add_chamada, add_gravacao, set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

YEAR = {"data_inicio": "2018-01-01", "data_fim": "2018-12-31"}


@pytest.fixture
def listed(client: httpx2.AsyncClient, done: Done) -> Callable[..., Any]:
    """The ids a report lists. A text goes onto the wire as it is."""

    async def ask(query: str | dict[str, Any]) -> list[int]:
        text = query if isinstance(query, str) else urlencode(query)
        return [item["id"] for item in done(await client.get(f"/chamada/relatorio?{text}"))["relatorio"]]

    return ask


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


async def test_the_page_and_its_objects(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    id = await add_chamada(house, conta.id, datetime.now(UTC), gravar_audio=True)
    await add_gravacao(house, conta.id, id, b"mp3")
    dados = done(await client.get("/chamada/relatorio"), "dados retornados com sucesso")
    assert list(dados) == ["total", "posicao", "limite", "relatorio"]
    assert (dados["total"], dados["posicao"], dados["limite"]) == (1, 0, 100)
    assert dados["relatorio"] == [done(await client.get(f"/chamada/{id}"))], "the same object, made by the same code"
    assert dados["relatorio"][0]["url_gravacao"]


async def test_an_empty_report(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/chamada/relatorio?data_inicio=2018-03-14&data_fim=2018-03-15")
    assert answer.text == (
        '{"status":200,"sucesso":true,"motivo":0,"mensagem":"dados retornados com sucesso",'
        '"dados":{"total":0,"posicao":0,"limite":100,"relatorio":[]}}'
    )


async def test_order_and_pages(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done, listed: Callable[..., Any]
) -> None:
    noon = utc("2018-08-02T12:00:00-03:00")
    same = [await add_chamada(house, conta.id, noon) for _ in range(3)]
    later = await add_chamada(house, conta.id, noon + timedelta(seconds=1))
    earlier = await add_chamada(house, conta.id, noon - timedelta(seconds=1))
    whole = [earlier, *same, later]
    assert await listed(YEAR) == whole, "by creation, then id"
    pages = [await listed(YEAR | {"posicao": at, "limite": 2}) for at in (0, 2, 4, 6)]
    assert pages == [whole[:2], whole[2:4], whole[4:], []]
    page = done(await client.get("/chamada/relatorio", params=YEAR | {"posicao": "3", "limite": "1"}))
    assert (page["total"], page["posicao"], page["limite"]) == (5, 3, 1)
    assert await listed(YEAR | {"Posicao": 4}) == whole[4:]


@pytest.mark.parametrize(
    ("asked", "limite"),
    [("", 100), ("limite=", 100), ("limite=0", 100), ("limite=1", 1), ("limite=200", 200), ("limite=201", 200)],
)
async def test_limite(client: httpx2.AsyncClient, done: Done, asked: str, limite: int) -> None:
    assert done(await client.get(f"/chamada/relatorio?{asked}"))["limite"] == limite


@pytest.mark.parametrize("query", ["posicao=-1", "limite=-1", "limite=dez", "posicao=1.5", f"limite={2**31}"])
async def test_bad_pages(client: httpx2.AsyncClient, refused: Refused, query: str) -> None:
    refused(await client.get(f"/chamada/relatorio?{query}"), 405, 11, query.partition("=")[0], "informe um")


# -- filters --------------------------------------------------------------------------------------------------------

NOTATIONS = [
    *("4832830151", "04832830151", "554832830151", "%2B554832830151", "+554832830151", "48 3283-0151"),
    *("(48)%203283-0151", "048-3283.0151", "%20%204832830151%20", "0214832830151"),
]


@pytest.mark.parametrize("numero", NOTATIONS)
async def test_a_filter_in_any_notation(
    house: House, conta: ContaDeTeste, listed: Callable[..., Any], numero: str
) -> None:
    now = datetime.now(UTC)
    one = await add_chamada(house, conta.id, now, origem=FIXO, destino=MOVEL)
    other = await add_chamada(house, conta.id, now, origem=MOVEL, destino=FIXO)
    await add_chamada(house, conta.id, now, origem=RAMAL, destino=MOVEL)
    assert await listed(f"origem={numero}".replace(" ", "%20")) == [one]
    assert await listed(f"destino={numero}".replace(" ", "%20")) == [other]


async def test_filters_together(house: House, conta: ContaDeTeste, listed: Callable[..., Any]) -> None:
    now = datetime.now(UTC)
    one = await add_chamada(house, conta.id, now, origem=RAMAL, destino=FIXO)
    two = await add_chamada(house, conta.id, now, origem=RAMAL, destino=MOVEL)
    assert await listed("origem=4000") == [one, two]
    assert await listed("Origem=4000&destino=48999990000") == [two]
    assert await listed("origem=4832830151&destino=4832830151") == []
    assert await listed("origem=&destino=0&desconhecido=1") == [one, two], "absent, as if not sent"
    assert await listed("origem=nada disso") == []


# -- bounds ---------------------------------------------------------------------------------------------------------


async def test_without_bounds_the_last_30_days(house: House, conta: ContaDeTeste, listed: Callable[..., Any]) -> None:
    now = datetime.now(UTC)
    old, month, new = [await add_chamada(house, conta.id, now - timedelta(days=days)) for days in (31, 29, 0)]
    assert await listed("") == [month, new]
    assert await listed("data_inicio=&data_fim=") == [month, new]
    since = (now - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await listed({"data_inicio": since}) == [old, month, new], "from there to now"
    until = (now - timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await listed({"data_fim": until}) == [old, month], "the 30 days up to there"


@pytest.mark.parametrize(
    "query",
    [
        "data_inicio=2018-08-02&data_fim=2018-08-02",
        "data_inicio=2018-08-02T00:00:00-03:00&data_fim=2018-08-02T23:59:59-03:00",
        "data_inicio=2018-08-02T03:00:00Z&data_fim=2018-08-03T02:59:59Z",
        "data_inicio=2018-08-02T03:00:00.000Z&data_fim=2018-08-03T02:59:59.999Z",
        "data_inicio=2018-08-02%2003:00:00%20UTC&data_fim=2018-08-03%2002:59:59%20UTC",
        "data_inicio=2018-08-02+03:00:00+UTC&data_fim=2018-08-03+02:59:59+UTC",
        "data_inicio=02/08/2018%2000:00:00&data_fim=02/08/2018%2023:59:59",
        "data_inicio=02%2F08%2F2018+00%3A00%3A00&data_fim=02%2F08%2F2018+23%3A59%3A59",
        "data_inicio=02/08/2018&data_fim=02/08/2018",
        "data_inicio=2018-08-02 00:00:00&data_fim=2018-08-02 23:59:59",
        "data_inicio=2018-08-02T05:00:00+02:00&data_fim=2018-08-03T04:59:59+02:00",  # the + arrives as a space
        "data_inicio=2018-08-02T05:00:00%2B02:00&data_fim=2018-08-03T04:59:59%2B02:00",
        "DataInicio=2018-08-02&dataFim=2018-08-02",
    ],
)
async def test_a_day_in_every_format(house: House, conta: ContaDeTeste, listed: Callable[..., Any], query: str) -> None:
    """A day of the conta's is 03:00 UTC to 03:00 UTC: its first and its last instant are in, their neighbours out."""
    await add_chamada(house, conta.id, utc("2018-08-01T23:59:59.999999-03:00"))
    first = await add_chamada(house, conta.id, utc("2018-08-02T00:00:00-03:00"))
    last = await add_chamada(house, conta.id, utc("2018-08-02T23:59:59.999999-03:00"))
    await add_chamada(house, conta.id, utc("2018-08-03T00:00:00-03:00"))
    assert await listed(query) == [first, last]


async def test_a_timed_bound_includes_its_whole_second(
    house: House, conta: ContaDeTeste, listed: Callable[..., Any]
) -> None:
    id = await add_chamada(house, conta.id, utc("2018-08-02T10:49:30.900000-03:00"))
    same = "data_inicio=2018-08-02T10:49:30-03:00&data_fim=2018-08-02T10:49:30-03:00"
    assert await listed(same) == [id], "the seed's own sample asks from a second to the same second"
    assert await listed("data_inicio=2018-08-02T10:49:31-03:00&data_fim=2018-08-02T11:00:00-03:00") == []
    assert await listed("data_inicio=2018-08-02T10:00:00-03:00&data_fim=2018-08-02T10:49:29-03:00") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("data_inicio=2018-03-15&data_fim=2018-03-14", "data_fim"),
        ("data_inicio=2018-03-15T10:00:01Z&data_fim=2018-03-15T10:00:00Z", "data_fim"),
        ("data_inicio=ontem", "data_inicio"),
        ("data_fim=2018-02-30", "data_fim"),
        ("data_inicio=2018-03-15T25:00:00Z", "data_inicio"),
        ("data_inicio=31/02/2018 10:00:00", "data_inicio"),
        ("data_inicio=1521072000", "data_inicio"),
        ("data_inicio=%00", "data_inicio"),
    ],
)
async def test_bad_bounds(client: httpx2.AsyncClient, refused: Refused, query: str, field: str) -> None:
    refused(await client.get(f"/chamada/relatorio?{query}"), 405, 11, field)


# -- zones ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "first", "last", "hours"),
    [
        # America/Sao_Paulo: summer time ended at midnight of 2018-02-18, an hour came twice on the 17th ...
        ("2018-02-16", "2018-02-16T00:00:00-02:00", "2018-02-16T23:59:59-02:00", 24),
        ("2018-02-17", "2018-02-17T00:00:00-02:00", "2018-02-17T23:59:59-03:00", 25),
        ("2018-02-18", "2018-02-18T00:00:00-03:00", "2018-02-18T23:59:59-03:00", 24),
        # ... and began at midnight of 2018-11-04, whose first hour never was.
        ("2018-11-03", "2018-11-03T00:00:00-03:00", "2018-11-03T23:59:59-03:00", 24),
        ("2018-11-04", "2018-11-04T01:00:00-02:00", "2018-11-04T23:59:59-02:00", 23),
    ],
)
async def test_days_of_summer_time(
    client: httpx2.AsyncClient,
    house: House,
    conta: ContaDeTeste,
    done: Done,
    listed: Callable[..., Any],
    day: str,
    first: str,
    last: str,
    hours: int,
) -> None:
    assert utc(last) - utc(first) == timedelta(hours=hours, seconds=-1)
    second = timedelta(seconds=1)
    moments = (utc(first) - second, utc(first), utc(last), utc(last) + second)
    _, one, two, _ = [await add_chamada(house, conta.id, moment) for moment in moments]
    assert await listed({"data_inicio": day, "data_fim": day}) == [one, two]
    shown = [done(await client.get(f"/chamada/{id}"))["data_criacao"] for id in (one, two)]
    assert shown == [first, last]


async def test_the_hour_that_came_twice_is_in_both_times(
    house: House, conta: ContaDeTeste, listed: Callable[..., Any]
) -> None:
    summer = await add_chamada(house, conta.id, utc("2018-02-17T23:30:00-02:00"))
    winter = await add_chamada(house, conta.id, utc("2018-02-17T23:30:00-03:00"))
    assert await listed("data_inicio=2018-02-17 23:30:00&data_fim=2018-02-17 23:30:00") == [summer, winter]
    assert await listed("data_inicio=2018-02-17T23:30:00-03:00&data_fim=2018-02-17T23:30:00-03:00") == [winter]


@pytest.mark.parametrize(
    ("zone", "offset"), [("America/Manaus", "-04:00"), ("UTC", "+00:00"), ("Asia/Tokyo", "+09:00")]
)
async def test_a_day_is_the_contas_own(
    client: httpx2.AsyncClient,
    house: House,
    conta: ContaDeTeste,
    done: Done,
    listed: Callable[..., Any],
    zone: str,
    offset: str,
) -> None:
    await set_conta(house, conta.id, fuso=zone)
    first = await add_chamada(house, conta.id, utc(f"2018-08-02T00:00:00{offset}"))
    await add_chamada(house, conta.id, utc(f"2018-08-01T23:59:59{offset}"))
    await add_chamada(house, conta.id, utc(f"2018-08-03T00:00:00{offset}"))
    assert await listed("data_inicio=2018-08-02&data_fim=2018-08-02") == [first]
    assert done(await client.get(f"/chamada/{first}"))["data_criacao"] == f"2018-08-02T00:00:00{offset}"
