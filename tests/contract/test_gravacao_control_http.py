"""Recording commanded in mid-call, over HTTP on the fake engine; and who heard a recording."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.engine.fake import FakeEngine
from telefonista.gravacao.queries import Acesso, note_acesso
from telefonista.storage.tables import Evento, Gravacao, GravacaoAcesso, GravacaoParte
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import add_chamada, add_gravacao

Done = Callable[..., Any]
Refused = Callable[..., None]

AUDIO = bytes(range(256)) * 40
SILENT = {"numero_origem": "1030000021", "numero_destino": "1030000004"}


async def until(client: httpx2.AsyncClient, id: int, enough: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    for _ in range(3000):  # each look gives way to the call; a call that stands still fails here
        dados: dict[str, Any] = (await client.get(f"/chamada/{id}")).json()["dados"]
        if enough(dados):
            return dados
    raise AssertionError(dados)


@pytest.fixture
async def call(client: httpx2.AsyncClient, house: House, done: Done) -> int:
    """A chamada in conversation."""
    wish = {"numero_origem": "1030000021", "numero_destino": "1030000022", "gravar_audio": True}
    id = done(await client.post("/chamada", json=wish))["id"]
    await until(client, id, lambda dados: dados["destino"]["status"] == "atendida")
    desk = house.runner.desk(id)
    assert desk is not None
    await desk.live.joined()
    return int(id)


async def rows(house: House, chamada_id: int) -> list[tuple[str, str, int, int]]:
    """tipo, estado, how many parts and how many of them have ended, of each recording."""

    def query(session: Session) -> list[tuple[str, str, int, int]]:
        found = []
        for gravacao in session.scalars(
            select(Gravacao).where(Gravacao.chamada_id == chamada_id).order_by(Gravacao.id)
        ):
            parts = session.scalars(select(GravacaoParte).where(GravacaoParte.gravacao_id == gravacao.id)).all()
            ended = sum(part.encerrada_em is not None for part in parts)
            found.append((gravacao.tipo, gravacao.estado, len(parts), ended))
        return found

    return await house.storage.read(query)


def running(fake: FakeEngine) -> list[str]:
    return sorted(name for name, recording in fake.recordings.items() if recording.running)


async def test_start_and_stop(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused, call: int
) -> None:
    path = f"/chamada/{call}/gravacao"
    first = done(await client.post(path), "gravação iniciada com sucesso")["id"]
    second = done(await client.post(path, json={"qualquer": 1}))["id"]
    assert second > first
    assert running(fake) == [f"{call}-g.1", f"{call}-g1.1", f"{call}-g2.1"]
    done(await client.delete(path, params={"id": str(first)}), "gravação encerrada com sucesso")
    assert running(fake) == [f"{call}-g.1", f"{call}-g2.1"]
    assert await rows(house, call) == [
        ("completa", "gravando", 1, 0), ("parcial", "convertendo", 1, 1), ("parcial", "gravando", 1, 0)
    ]  # fmt: skip
    refused(await client.delete(path, params={"id": first}), 404, 60)
    assert done(await client.delete(path)) is None
    assert running(fake) == [f"{call}-g.1"], "what gravar_audio began is not partial"
    refused(await client.delete(path), 404, 70, "POST")
    shown = done(await client.get(f"/chamada/{call}"))["gravacoes_parciais"]
    assert [(one["id"], one["status"]) for one in shown] == [(first, "convertendo"), (second, "convertendo")]


async def test_pause_and_resume(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused, call: int
) -> None:
    path = f"/chamada/{call}/gravacao"
    parcial = done(await client.post(path))["id"]
    for _ in range(2):
        assert done(await client.put(path, json={"pausada": "sim"}), "gravação pausada com sucesso") is None
        assert running(fake) == []
        assert {estado for _, estado, _, _ in await rows(house, call)} == {"pausada"}
    done(await client.put(path, json={"Pausada": 0, "id": str(parcial)}), "gravação retomada com sucesso")
    assert running(fake) == [f"{call}-g1.2"]
    done(await client.put(path, json={"pausada": False}))
    assert running(fake) == [f"{call}-g.2", f"{call}-g1.2"]
    assert await rows(house, call) == [("completa", "gravando", 2, 1), ("parcial", "gravando", 2, 1)]
    refused(await client.put(path, json={"pausada": True, "id": 999}), 404, 60)
    refused(await client.put(path, json={}), 405, 10, "pausada")
    refused(await client.put(path, json={"pausada": "talvez"}), 405, 11, "pausada")

    def story(session: Session) -> list[str]:
        query = select(Evento.tipo).where(Evento.chamada_id == call).order_by(Evento.id)
        return [tipo for tipo in session.scalars(query) if tipo.startswith("grava")]

    pauses = ["gravacao pausada"] * 2
    assert await house.storage.read(story) == ["gravando", "gravando", *pauses, "gravando", "gravando"]


async def test_the_end_of_the_call_ends_them_all(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused, call: int
) -> None:
    path = f"/chamada/{call}/gravacao"
    done(await client.post(path))
    done(await client.put(path, json={"pausada": True}))
    done(await client.post(path))
    done(await client.delete(f"/chamada/{call}"))
    await house.runner.drain(5)
    assert {(estado, parts == ended) for _, estado, parts, ended in await rows(house, call)} == {("convertendo", True)}
    assert running(fake) == []
    for method, corpo in (("POST", {}), ("DELETE", {}), ("PUT", {"pausada": True})):
        refused(await client.request(method, path, json=corpo), 405, 80)


async def test_not_in_conversation(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, house: House, done: Done, refused: Refused
) -> None:
    id = done(await client.post("/chamada", json=SILENT))["id"]
    await until(client, id, lambda dados: dados["destino"]["status"] == "chamando")
    for method in ("POST", "DELETE", "PUT"):
        corpo = {"pausada": True}
        refused(await client.request(method, f"/chamada/{id}/gravacao", json=corpo), 405, 80)
        refused(await stranger.request(method, f"/chamada/{id}/gravacao", json=corpo), 404, 60)
        refused(await client.request(method, "/chamada/999/gravacao", json=corpo), 404, 60)


async def test_an_engine_that_is_away(client: httpx2.AsyncClient, house: House, fake: FakeEngine, call: int) -> None:
    fake.crash()
    answer = await client.post(f"/chamada/{call}/gravacao")
    assert (answer.status_code, answer.json()["motivo"]) in ((405, 80), (503, 50))
    await house.runner.drain(8)
    assert all(estado == "convertendo" for _, estado, _, _ in await rows(house, call))


# -- who heard it ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def recorded(house: House, conta: ContaDeTeste) -> tuple[int, int]:
    """A chamada and its recording."""
    chamada = await add_chamada(house, conta.id, datetime.now(UTC), gravar_audio=True)
    return chamada, await add_gravacao(house, conta.id, chamada, AUDIO, segredo="abc")


async def accesses(client: httpx2.AsyncClient, done: Done, chamada: int, **params: Any) -> dict[str, Any]:
    dados: dict[str, Any] = done(await client.get(f"/chamada/{chamada}/gravacao/acessos", params=params))
    return dados


async def written(house: House) -> None:
    """What was queued before is written."""
    await house.storage.write(lambda session: None)


async def test_every_hearing_is_written_down(
    client: httpx2.AsyncClient, app: FastAPI, house: House, conta: ContaDeTeste, done: Done, recorded: tuple[int, int]
) -> None:
    chamada, gravacao = recorded
    assert await accesses(client, done, chamada) == {"total": 0, "posicao": 0, "limite": 100, "relatorio": []}
    assert (await client.get(f"/chamada/{chamada}/gravacao")).status_code == 200
    transport = httpx2.ASGITransport(app=app, client=("2001:db8::7", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as anyone:
        link = f"/rec/?id={gravacao}&x=abc&cid={conta.id}"
        for wanted in ("bytes=0-99", "bytes=100-199", "bytes=-10"):
            assert (await anyone.get(link, headers={"Range": wanted})).status_code == 206
        assert (await anyone.get(link, headers={"Range": "bytes=99999-"})).status_code == 416
        assert (await anyone.get(link.replace("abc", "abd"))).status_code == 404
    await written(house)
    dados = await accesses(client, done, chamada)
    assert dados["total"] == 2
    seen = [(one["gravacao_id"], one["por"], one["endereco"]) for one in dados["relatorio"]]
    assert seen == [(gravacao, "token", "127.0.0.1"), (gravacao, "link", "2001:db8::7")]
    assert dados["relatorio"][0]["data"].endswith("-03:00")
    page = await accesses(client, done, chamada, posicao=1, limite=1)
    assert (page["total"], page["relatorio"]) == (2, dados["relatorio"][1:])
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
    assert (await accesses(client, done, chamada, data_inicio=tomorrow))["total"] == 0


async def test_the_first_byte_cannot_be_left_out(house: House, recorded: tuple[int, int]) -> None:
    """Going on is no new access; beginning in the middle, or again the next day, is one."""
    now = datetime.now(UTC)

    async def count(**fields: Any) -> int:
        acesso = Acesso(recorded[1], **({"momento": now, "por": "link", "endereco": "10.0.0.1"} | fields))
        await house.storage.write(note_acesso, acesso)
        return await house.storage.read(lambda session: len(session.scalars(select(GravacaoAcesso)).all()))

    assert await count(continua=True) == 1
    assert await count(continua=True) == 1
    assert await count(continua=True, endereco="10.0.0.2") == 2
    assert await count(continua=True, momento=now + timedelta(hours=25)) == 3
    assert await count() == 4


async def test_nobody_elses(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, refused: Refused, recorded: tuple[int, int]
) -> None:
    refused(await stranger.get(f"/chamada/{recorded[0]}/gravacao/acessos"), 404, 60)
    refused(await client.get("/chamada/999/gravacao/acessos"), 404, 60)


async def test_a_partial_recording_by_its_id(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, refused: Refused, recorded: tuple[int, int]
) -> None:
    chamada, whole = recorded
    other = await add_chamada(house, conta.id, datetime.now(UTC))
    folder = house.settings.recordings / str(conta.id)
    folder.joinpath("trecho.mp3").write_bytes(AUDIO[:99])
    parcial = await add_gravacao(house, conta.id, chamada, None, tipo="parcial", arquivo="trecho")
    path = f"/chamada/{chamada}/gravacao"
    assert (await client.get(path, params={"id": parcial})).content == AUDIO[:99]
    assert (await client.get(path, params={"ID": whole})).content == (await client.get(path)).content == AUDIO
    refused(await client.get(path, params={"id": parcial + 1}), 404, 70)
    refused(await client.get(f"/chamada/{other}/gravacao", params={"id": parcial}), 404, 70)
    refused(await client.get(path, params={"id": "x"}), 405, 11, "id")
