"""The routes of /audio: what is accepted, what is refused and why, and the queue behind them, without telephones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.audio import fila
from telefonista.audio.http import Audios
from telefonista.audio.objeto import AudioObjeto
from telefonista.calling.house import House
from telefonista.engine.fake import FakeEngine
from telefonista.settings import Settings
from telefonista.storage.tables import Audio, Chamada, Conta
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import set_conta
from tests.files import FileServer, encoded, tone

ECHO, BUSY, NOBODY = "1030000002", "1030000003", "1030000005"
Done = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        home=tmp_path / "casa",
        ring_seconds=2,
        requests_per_second=0,
        calls_per_second=0,
        internal_urls=True,
    )


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    async with FileServer() as files:
        files.put("/fala.wav", encoded(tone(700, 0.2), "wav"), ETag='"1"')
        files.put("/minuto.wav", encoded(tone(700, 59.5), "wav"))
        yield files


@pytest.fixture
def url(files: FileServer) -> str:
    return files.url("/fala.wav")


def later(hours: float = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def over(client: httpx2.AsyncClient, id: int) -> dict[str, Any]:
    """The audio once it has ended; looks at each turn of the loop, as nothing tells a customer without webhooks."""
    async with asyncio.timeout(10):
        while True:
            dados: dict[str, Any] = (await client.get(f"/audio/{id}")).json()["dados"]
            if dados["motivo_desconexao"] != "indefinido":
                return dados


async def send(client: httpx2.AsyncClient, **corpo: Any) -> int:
    answer = await client.post("/audio", json=corpo)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["dados"]["id"])


async def money(house: House, conta_id: int) -> tuple[Decimal, Decimal]:
    def look(session: Session) -> tuple[Decimal, Decimal]:
        conta = session.get_one(Conta, conta_id)
        return conta.saldo, conta.reservado

    return await house.storage.read(look)


async def test_sent_and_seen(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, url: str, done: Done) -> None:
    id = done(await client.post("/audio", json={"numero_destino": ECHO, "url_audio": url}), "audio criado com sucesso")[
        "id"
    ]
    dados = await over(client, id)
    assert list(dados) == list(AudioObjeto.model_fields)
    AudioObjeto.model_validate(dados)
    assert (dados["status"], dados["preco"], dados["url_audio"]) == ("atendida", 0.12, url)
    for method in ("GET", "PUT", "DELETE"):
        answer = await stranger.request(method, f"/audio/{id}", json={})
        assert (answer.status_code, answer.json()["motivo"]) == (404, 60)
    assert (await client.get(f"/chamada/{id}")).status_code == 404
    assert done(await client.get("/chamada/relatorio"))["total"] == 0
    assert done(await stranger.get("/audio/relatorio"))["total"] == 0


async def test_spelled_as_clients_do(client: httpx2.AsyncClient, url: str) -> None:
    corpo = {"NumeroDestino": ECHO, "urlAudio": f" {url} ", "RespostaUsuario": "nao", "opcoes": {"tags": 7}}
    dados = await over(client, await send(client, **corpo))
    assert (dados["resposta_usuario"], dados["tags"]) == (False, "7")


@pytest.mark.parametrize(
    ("corpo", "motivo", "words"),
    [
        ({"numero_destino": ECHO}, 10, "url_audio"),
        ({"url_audio": "URL"}, 10, "numero_destino"),
        ({"numero_destino": "12", "url_audio": "URL"}, 11, "numero_destino"),
        ({"numero_destino": "190", "url_audio": "URL"}, 11, "numero_destino"),
        ({"numero_destino": ECHO, "url_audio": "ftp://a.b/c.mp3"}, 11, "url_audio"),
        ({"numero_destino": ECHO, "url_audio": "file:///etc/passwd"}, 11, "url_audio"),
        ({"numero_destino": ECHO, "url_audio": "http://u:s@a.b/c.mp3"}, 11, "url_audio"),
        ({"numero_destino": ECHO, "url_audio": "http://a.b/" + "c" * 2000}, 11, "url_audio"),
        ({"numero_destino": ECHO, "url_audio": "URL", "bina": "abc"}, 11, "bina"),
        ({"numero_destino": ECHO, "url_audio": "URL", "resposta_usuario": "talvez"}, 11, "resposta_usuario"),
        ({"numero_destino": ECHO, "url_audio": "URL", "data_criacao": "2001-01-01"}, 11, "data_criacao"),
        ({"numero_destino": ECHO, "url_audio": "URL", "data_criacao": "ontem"}, 11, "data_criacao"),
        ({"numero_destino": ECHO, "url_audio": "URL", "tags": "x" * 256}, 11, "tags"),
    ],
)
async def test_refused(
    client: httpx2.AsyncClient, house: House, url: str, corpo: dict[str, Any], motivo: int, words: str, refused: Done
) -> None:
    corpo = {key: url if value == "URL" else value for key, value in corpo.items()}
    refused(await client.post("/audio", json=corpo), 405, motivo, words)
    assert await house.storage.read(lambda session: session.scalar(select(func.count(Chamada.id)))) == 0


async def test_money(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, files: FileServer, url: str, refused: Done
) -> None:
    """The whole message is paid ahead: what cannot be heard to its end is not begun."""
    await set_conta(house, conta.id, saldo=Decimal("0.20"))
    corpo = {"numero_destino": ECHO, "url_audio": files.url("/minuto.wav")}
    refused(await client.post("/audio", json=corpo), 402, 9, "saldo")  # 59.5 s and the rest make two minutes
    refused(await client.post("/audio", json=corpo | {"data_criacao": later()}), 402, 9, "saldo")
    assert await money(house, conta.id) == (Decimal("0.20"), Decimal(0))
    dados = await over(client, await send(client, numero_destino=ECHO, url_audio=url))
    assert dados["preco"] == 0.12
    assert await money(house, conta.id) == (Decimal("0.08"), Decimal(0))


async def test_the_same_key_sends_once(client: httpx2.AsyncClient, files: FileServer, url: str, refused: Done) -> None:
    corpo, headers = {"numero_destino": ECHO, "url_audio": url}, {"Idempotency-Key": "k1"}
    first = (await client.post("/audio", json=corpo, headers=headers)).json()
    files.pages.clear()  # what the URL gives now plays no part
    assert (await client.post("/audio", json=corpo, headers=headers)).json() == first
    refused(await client.post("/audio", json=corpo | {"tags": "x"}, headers=headers), 422, 20)
    assert (await client.get("/audio/relatorio")).json()["dados"]["total"] == 1


async def test_no_engine(
    client: httpx2.AsyncClient, fake: FakeEngine, files: FileServer, url: str, refused: Done
) -> None:
    fake.crash()
    refused(await client.post("/audio", json={"numero_destino": ECHO, "url_audio": url}), 503, 50)
    assert not files.hits


async def test_edited_before_it_is_dialled(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, files: FileServer, url: str, refused: Done
) -> None:
    id = await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later(), tags="a", bina="4832830151")
    assert await money(house, conta.id) == (Decimal(100), Decimal(0))
    refused(await client.put(f"/audio/{id}", json={"numero_destino": "12"}), 405, 11, "numero_destino")
    refused(await client.put(f"/audio/{id}", json={"url_audio": files.url("/nada")}), 405, 11, "url_audio", "404")
    refused(await client.put(f"/audio/{id}", json={"data_criacao": "2001-01-01"}), 405, 11, "data_criacao")
    answer = await client.put(f"/audio/{id}", json={"url_audio": files.url("/minuto.wav"), "resposta_usuario": 1})
    assert answer.json()["mensagem"] == "dados atualizados com sucesso"
    dados = (await client.get(f"/audio/{id}")).json()["dados"]
    assert (dados["url_audio"], dados["resposta_usuario"]) == (files.url("/minuto.wav"), True)
    assert (dados["numero_destino"], dados["tags"], dados["bina"]) == (ECHO, "a", "4832830151")
    assert (dados["status"], dados["motivo_desconexao"]) == ("preparando", "indefinido")
    await client.put(f"/audio/{id}", json={"numero_destino": BUSY, "data_criacao": datetime.now(UTC).isoformat()})
    assert (await over(client, id))["status"] == "ocupado"
    refused(await client.put(f"/audio/{id}", json={"tags": "b"}), 405, 80)
    refused(await client.delete(f"/audio/{id}"), 405, 80)


async def test_cancelled_before_it_is_dialled(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, fake: FakeEngine, url: str, done: Done
) -> None:
    id = await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later())
    done(await client.delete(f"/audio/{id}"), "encerrando audio")
    dados = (await client.get(f"/audio/{id}")).json()["dados"]
    assert (dados["status"], dados["preco"], dados["data_inicio"]) == ("cancelada", 0, None)
    assert fake.legs == {}


async def test_report(client: httpx2.AsyncClient, url: str, done: Done, refused: Done) -> None:
    ids = [await send(client, numero_destino=numero, url_audio=url) for numero in (ECHO, BUSY, NOBODY, ECHO)]
    ids.append(await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later()))
    seen = [await over(client, id) for id in ids[:4]]
    page = done(await client.get("/audio/relatorio"))
    assert (page["total"], page["posicao"], page["limite"]) == (5, 0, 100)
    assert page["relatorio"][:4] == seen
    for status, wanted in {
        "atendida": [ids[0], ids[3]],
        "ocupado": [ids[1]],
        "nao existe": [ids[2]],
        "NAO_EXISTE": [ids[2]],
        "preparando": [ids[4]],
        "cancelada": [],
    }.items():
        page = done(await client.get("/audio/relatorio", params={"status": status}))
        assert [one["id"] for one in page["relatorio"]] == wanted and page["total"] == len(wanted)
    page = done(await client.get("/audio/relatorio", params={"posicao": 1, "limite": 2}))
    assert (page["total"], [one["id"] for one in page["relatorio"]]) == (5, ids[1:3])
    assert done(await client.get("/audio/relatorio", params={"data_fim": "2020-01-01"}))["total"] == 0
    refused(await client.get("/audio/relatorio", params={"status": "feliz"}), 405, 11, "status", "atendida")


async def test_a_campaign_costs_one_fetch(client: httpx2.AsyncClient, files: FileServer, url: str) -> None:
    answers = await asyncio.gather(*(send(client, numero_destino=BUSY, url_audio=url) for _ in range(50)))
    assert len(set(answers)) == 50
    assert dict(files.hits) == {("/fala.wav", 200): 1}
    for id in answers:
        assert (await over(client, id))["status"] == "ocupado"


async def test_a_sound_that_was_lost_is_fetched_again(
    client: httpx2.AsyncClient, audios: Audios, house: House, files: FileServer, url: str
) -> None:
    id = await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later())
    name = await house.storage.read(lambda session: session.get_one(Audio, id).arquivo)
    audios.sounds.path(name).unlink()
    await client.put(f"/audio/{id}", json={"data_criacao": datetime.now(UTC).isoformat()})
    assert (await over(client, id))["status"] == "atendida"
    files.pages.clear()
    lost = await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later())
    audios.sounds.path(name).unlink()
    await client.put(f"/audio/{lost}", json={"data_criacao": datetime.now(UTC).isoformat()})
    dados = await over(client, lost)
    assert (dados["status"], dados["motivo_desconexao"], dados["preco"]) == ("falha", "41. falha temporária", 0)


async def test_money_that_went_meanwhile(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, fake: FakeEngine, url: str
) -> None:
    id = await send(client, numero_destino=ECHO, url_audio=url, data_criacao=later(0.0003))
    await set_conta(house, conta.id, saldo=Decimal(0))
    dados = await over(client, id)
    assert (dados["status"], dados["motivo_desconexao"]) == ("falha", "21. chamada rejeitada")
    assert await money(house, conta.id) == (Decimal(0), Decimal(0))


async def test_more_wait_than_are_in_memory(
    client: httpx2.AsyncClient, url: str, monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    monkeypatch.setattr(fila, "LINE", 3)
    when = later(0.0004)
    ids = [await send(client, numero_destino=BUSY, url_audio=url, data_criacao=when) for _ in range(20)]
    for id in ids:
        assert (await over(client, id))["status"] == "ocupado"
