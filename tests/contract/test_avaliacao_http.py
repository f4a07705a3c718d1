"""Ratings over HTTP: given, changed, refused, shown, and added up by day and by ramal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from telefonista.calling.house import House
from telefonista.engine.fake import FakeEngine
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import RAMAL, add_chamada, set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

THEN = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
async def id(house: House, conta: ContaDeTeste) -> int:
    return await add_chamada(house, conta.id, THEN)


async def test_it_answers_as_documented(client: httpx2.AsyncClient, id: int, done: Done) -> None:
    answer = await client.post(f"/chamada/{id}/avaliar", content='{"numero":"5", "comentario": "muito boa"}')
    assert answer.text == (
        '{"status":200,"sucesso":true,"motivo":0,"mensagem":"chamada avaliada com sucesso","dados":null}'
    )
    shown = done(await client.get(f"/chamada/{id}"))["avaliacao"]
    assert (shown["nota"], shown["comentario"]) == (5, "muito boa")
    assert abs(datetime.fromisoformat(shown["data"]) - datetime.now(UTC)) < timedelta(seconds=5)
    assert shown["data"].endswith("-03:00")


async def test_the_last_one_stands(client: httpx2.AsyncClient, id: int, done: Done) -> None:
    assert done(await client.get(f"/chamada/{id}"))["avaliacao"] is None
    done(await client.post(f"/chamada/{id}/avaliar", json={"nota": 1, "comentario": "ruim"}))
    done(await client.post(f"/chamada/{id}/avaliar", json={"nota": 4}))
    shown = done(await client.get(f"/chamada/{id}"))["avaliacao"]
    assert (shown["nota"], shown["comentario"]) == (4, None)


@pytest.mark.parametrize(
    ("body", "motivo", "words"),
    [
        ({}, 10, ("nota",)),
        ({"comentario": "x"}, 10, ("nota",)),
        ({"nota": 0}, 11, ("nota", "1")),
        ({"nota": 6}, 11, ("nota", "5")),
        ({"nota": "cinco"}, 11, ("nota",)),
        ({"nota": 4.5}, 11, ("nota",)),
        ({"nota": 5, "comentario": "x" * 1001}, 11, ("comentario", "1000")),
    ],
)
async def test_what_is_no_rating(
    client: httpx2.AsyncClient, id: int, refused: Refused, body: dict[str, Any], motivo: int, words: tuple[str, ...]
) -> None:
    refused(await client.post(f"/chamada/{id}/avaliar", json=body), 405, motivo, *words)


async def test_a_comment_of_1000_letters(client: httpx2.AsyncClient, id: int, done: Done) -> None:
    text = "ã" * 1000
    done(await client.post(f"/chamada/{id}/avaliar", json={"Nota": "3", "Comentario": text}))
    assert done(await client.get(f"/chamada/{id}"))["avaliacao"]["comentario"] == text


async def test_only_ones_own(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, id: int, done: Done, refused: Refused
) -> None:
    refused(await stranger.post(f"/chamada/{id}/avaliar", json={"nota": 1}), 404, 60)
    refused(await client.post("/chamada/999999/avaliar", json={"nota": 1}), 404, 60)
    assert done(await client.get(f"/chamada/{id}"))["avaliacao"] is None


async def test_once_it_has_begun(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, fake: FakeEngine, done: Done, refused: Refused
) -> None:
    waiting = await add_chamada(house, conta.id, THEN, status_geral="criada", agendada_para=THEN)
    refused(await client.post(f"/chamada/{waiting}/avaliar", json={"nota": 1}), 405, 80)
    running = await add_chamada(house, conta.id, THEN, status_geral="curso")
    done(await client.post(f"/chamada/{running}/avaliar", json={"nota": 1}))
    audio = await add_chamada(house, conta.id, THEN, recurso="audio")
    refused(await client.post(f"/chamada/{audio}/avaliar", json={"nota": 1}), 404, 60)


@pytest.mark.parametrize("path", ["transfer", "transfr"])
async def test_a_client_that_rates_by_transfer(client: httpx2.AsyncClient, id: int, done: Done, path: str) -> None:
    answer = await client.post(f"/chamada/{id}/{path}", json={"nota": "2", "comentario": "eco"})
    assert done(answer, "chamada avaliada com sucesso") is None
    assert done(await client.get(f"/chamada/{id}"))["avaliacao"]["nota"] == 2


# -- the report -----------------------------------------------------------------------------------------------------


async def rated(house: House, conta_id: int, when: datetime, nota: int | None, **fields: Any) -> int:
    rating = {} if nota is None else {"nota": nota, "avaliada_em": when + timedelta(minutes=3)}
    return await add_chamada(house, conta_id, when, **rating, **fields)


async def test_means_by_day_and_by_ramal(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    ramais = [done(await client.post("/ramal"))["id"] for _ in range(2)]
    of_ramal = [{"ramal_id_origem": ramal, "origem": RAMAL} for ramal in ramais]
    late = datetime(2026, 3, 11, 2, 59, 59, tzinfo=UTC)  # the 10th in São Paulo
    ids = [
        await rated(house, conta.id, THEN, 5, comentario="ótima"),
        await rated(house, conta.id, THEN, 4, **of_ramal[0]),
        await rated(house, conta.id, late, 4, **of_ramal[1]),
        await rated(house, conta.id, late + timedelta(seconds=1), 1, **of_ramal[0]),
    ]
    await rated(house, conta.id, THEN, None)
    await rated(house, conta.id, THEN - timedelta(days=1), 1)
    await rated(house, conta.id, THEN, 1, recurso="conferencia")
    period = {"data_inicio": "2026-03-10", "data_fim": "2026-03-11"}
    dados = done(await client.get("/chamada/relatorio/avaliacoes", params=period))
    assert list(dados) == ["total", "posicao", "limite", "relatorio", "media", "por_dia", "por_ramal"]
    assert (dados["total"], dados["posicao"], dados["limite"], dados["media"]) == (4, 0, 100, 3.5)
    assert dados["por_dia"] == [
        {"data": "2026-03-10", "total": 3, "media": 4.33},
        {"data": "2026-03-11", "total": 1, "media": 1.0},
    ]
    assert dados["por_ramal"] == [
        {"ramal_id": ramais[0], "ramal": "4000", "total": 2, "media": 2.5},
        {"ramal_id": ramais[1], "ramal": "4001", "total": 1, "media": 4.0},
    ]
    assert [row["chamada_id"] for row in dados["relatorio"]] == ids
    assert dados["relatorio"][0] == {
        "chamada_id": ids[0],
        "nota": 5,
        "comentario": "ótima",
        "data": "2026-03-10T09:03:00-03:00",
        "ramal_id_origem": None,
    }
    page = done(await client.get("/chamada/relatorio/avaliacoes", params=period | {"posicao": 1, "limite": 2}))
    assert [row["chamada_id"] for row in page["relatorio"]] == ids[1:3]
    assert (page["total"], page["posicao"], page["limite"], page["media"]) == (4, 1, 2, 3.5), (
        "means of the whole period"
    )
    assert done(await stranger.get("/chamada/relatorio/avaliacoes", params=period))["total"] == 0
    await set_conta(house, conta.id, fuso="UTC")
    days = done(await client.get("/chamada/relatorio/avaliacoes", params=period))["por_dia"]
    assert [(day["data"], day["total"]) for day in days] == [("2026-03-10", 2), ("2026-03-11", 2)]


async def test_a_report_of_nothing(client: httpx2.AsyncClient, done: Done, refused: Refused) -> None:
    assert done(await client.get("/chamada/relatorio/avaliacoes/")) == {
        "total": 0,
        "posicao": 0,
        "limite": 100,
        "relatorio": [],
        "media": None,
        "por_dia": [],
        "por_ramal": [],
    }
    backwards = {"data_inicio": "2026-03-11", "data_fim": "2026-03-10"}
    refused(await client.get("/chamada/relatorio/avaliacoes", params=backwards), 405, 11, "data_fim")


async def test_a_removed_ramal_leaves_the_ratings(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    ramal = done(await client.post("/ramal"))["id"]
    await rated(house, conta.id, THEN, 3, ramal_id_origem=ramal, origem=RAMAL)
    done(await client.request("DELETE", f"/ramal/{ramal}"))
    dados = done(await client.get("/chamada/relatorio/avaliacoes", params={"data_inicio": "2026-03-10"}))
    assert (dados["total"], dados["media"], dados["por_ramal"]) == (1, 3.0, [])
    assert dados["relatorio"][0]["ramal_id_origem"] is None
