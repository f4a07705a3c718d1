"""Voice messages to real telephones: heard from the first syllable, answered by keys, paced, and never lost."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.server import Server, free_port
from tests.files import FileServer, encoded, tone
from tests.phone import AutoPhone, Incoming, Phone, answering
from tests.phone.audio import loudness, tone_present
from tests.receiver import Receiver

HZ = 950
ENVIRONMENT = {
    "TELEFONISTA_INTERNAL_URLS": "1",
    "TELEFONISTA_RING_SECONDS": "5",
    "TELEFONISTA_CONFIRMED_BINA": "off",
    "TELEFONISTA_REQUESTS_PER_SECOND": "0",
    "TELEFONISTA_CALLS_PER_SECOND": "0",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, worker: int) -> Iterator[Server]:
    """A server that may fetch from loopback."""
    first = 31600 + 2000 * worker
    server = Server(tmp_path_factory.mktemp("audio") / "h", f"{first}-{first + 399}", environment=dict(ENVIRONMENT))
    server.start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def trunks(server: Server) -> tuple[int, int]:
    """One carrier: every number rings at 127.0.0.2. A test without `ana` would have the engine find nobody there."""
    port = free_port()
    server.run(
        "tronco", "add", "todos", "--host", "127.0.0.2", "--porta", str(port), "--classes", "fixo,movel",
        "--canais", "6", "--cps", "20",
    )  # fmt: skip
    return port, port


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    async with FileServer() as files:
        files.put("/fala.mp3", encoded(tone(HZ, 2.0, rate=44100), "mp3", rate=44100, stereo=True))
        files.put("/longa.wav", encoded(tone(HZ, 8.0), "wav"))
        yield files


async def send(api: Api, url: str, numero: str = FIXO, **options: Any) -> int:
    corpo = {"numero_destino": numero, "url_audio": url, **options}
    answer = await api.http.post("/audio", json=corpo)
    body = answer.json()
    assert (answer.status_code, body["mensagem"]) == (200, "audio criado com sucesso"), body
    return int(body["dados"]["id"])


async def audio(api: Api, id: int) -> dict[str, Any]:
    found: dict[str, Any] = await api.ask("GET", f"/audio/{id}")
    return found


async def over(api: Api, id: int, within: float = 12) -> dict[str, Any]:
    """The audio once it has its final status and price."""
    found: dict[str, Any] = await api.until(
        lambda: audio(api, id), lambda dados: dados["motivo_desconexao"] != "indefinido", within
    )
    return found


async def answered(phone: Phone) -> Incoming:
    call = await phone.incoming()
    await call.ringing()
    await call.answer()
    return call


async def test_the_whole_message_from_the_first_syllable(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/fala.mp3"), bina="4832830152", tags="cobrança")
    call = await ana.incoming()
    assert (call.to_number, call.from_number) == (FIXO, "4832830152")
    await call.ringing()
    await call.answer()
    begin = call.ear.clock
    await call.ended(within=5)
    assert call.ended_by == "them"
    pcm = call.heard()
    loud = [n for n in range(0, len(pcm) - 160, 160) if loudness(pcm[n : n + 160]) > 500]
    first = call.ear.arrivals()[loud[0] // 160] - begin
    assert first < 0.3, f"first audio after {first:.3f} s"
    assert abs((loud[-1] - loud[0]) / 8000 - 2.0) < 0.15
    assert tone_present(pcm[loud[0] : loud[-1]], HZ)
    assert -18 < 20 * np.log10(loudness(pcm[loud[0] : loud[-1]]) / 32768) < -14
    dados = await over(api, id)
    assert dados["status"] == "atendida"
    assert dados["motivo_desconexao"] == "16. normal"
    assert (dados["tipo"], dados["numero_destino"], dados["preco"]) == ("fixo", FIXO, 0.12)
    assert (dados["bina"], dados["tags"], dados["duracao_cobrada"]) == ("4832830152", "cobrança", "00:01:00")
    assert (dados["resposta_usuario"], dados["resposta"], dados["url_gravacao"]) == (False, None, None)


async def test_keys_after_the_message(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/fala.mp3"), resposta_usuario=True)
    call = await answered(ana)
    await call.hears(HZ)
    await call.silent(1.0, within=4)
    await call.send_dtmf("12")
    await call.ended(within=7)
    dados = await over(api, id)
    assert (dados["resposta_usuario"], dados["resposta"]) == (True, "12")


async def test_a_key_interrupts_the_message(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/longa.wav"), resposta_usuario="sim")
    call = await answered(ana)
    await call.hears(HZ)
    await call.send_dtmf("1")
    await call.silent(1.0, within=0.5)
    await call.send_dtmf("2#")
    assert (await audio(api, id))["resposta"] in ("12", "12#")
    await call.ended(within=7)
    assert (await over(api, id))["resposta"] == "12#"


async def test_without_resposta_usuario_keys_are_nothing(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/fala.mp3"))
    call = await answered(ana)
    await call.hears(HZ)
    await call.send_dtmf("1")
    await call.hears(HZ)
    await call.ended(within=4)
    assert (await over(api, id))["resposta"] is None


async def test_nobody_presses(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/fala.mp3"), resposta_usuario=1)
    call = await answered(ana)
    await call.ended(within=9)
    dados = await over(api, id)
    assert dados["resposta"] is None
    assert 6 <= dados["duracao_falada_segundos"] <= 8


@pytest.mark.parametrize(
    ("numero", "status", "motivo"),
    [
        ("1030000003", "ocupado", "17. ocupado"),
        ("1030000004", "sem resposta", "19. sem resposta - mas chamou"),
        ("1030000005", "não existe", "1. telefone não existe"),
        ("1030000006", "congestionado", "34. sem canal disponível"),
    ],
)
async def test_how_it_ends_otherwise(
    api: Api, ana: Phone, files: FileServer, numero: str, status: str, motivo: str
) -> None:
    id = await send(api, files.url("/fala.mp3"), numero)
    dados = await over(api, id)
    assert (dados["status"], dados["motivo_desconexao"], dados["preco"]) == (status, motivo, 0)
    ids = [one["id"] for one in (await api.ask("GET", "/audio/relatorio", params={"status": status}))["relatorio"]]
    assert id in ids
    ids = [one["id"] for one in (await api.ask("GET", "/audio/relatorio", params={"status": "atendida"}))["relatorio"]]
    assert id not in ids
    assert id not in [one["id"] for one in (await api.ask("GET", "/chamada/relatorio"))["relatorio"]]


async def test_the_telephone_hangs_up_first(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/longa.wav"))
    call = await answered(ana)
    await call.hears(HZ)
    await call.hangup()
    dados = await over(api, id)
    assert (dados["status"], dados["motivo_desconexao"]) == ("atendida", "16. normal")


async def test_a_recording_of_both_sides(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/fala.mp3"), gravar_audio=True)
    await (await answered(ana)).ended(within=5)
    dados = await api.until(lambda: audio(api, id), lambda dados: dados["url_gravacao"], 15)
    recording = await api.http.get(dados["url_gravacao"], headers={"Access-Token": ""})
    assert recording.headers["content-type"] == "audio/mpeg"
    left, right, rate = sides(recording.content)
    hears(left, rate, 700, absent=(HZ,))
    hears(right, rate, HZ, absent=(700,))


async def test_bad_urls_call_nobody(api: Api, ana: Phone, files: FileServer) -> None:
    files.put("/pagina.mp3", b"<html><body>entre com a sua senha</body></html>", Content_Type="audio/mpeg")
    files.put("/grande.mp3", bytes(6 << 20))
    files.put("/longa.mp3", encoded(tone(HZ, 605, rate=8000), "mp3"))
    files.put("/quebrada.mp3", b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 40)
    files.redirect("/volta", "/volta")
    files.redirect("/para-longe", "http://169.254.169.254/latest/meta-data")
    files.redirect("/para-arquivo", "file:///etc/passwd")
    before = (await api.ask("GET", "/audio/relatorio"))["total"]
    for path, words in {
        "/nada.mp3": "HTTP 404",
        "/pagina.mp3": "página",
        "/grande.mp3": "5 MB",
        "/longa.mp3": "10 minutos",
        "/quebrada.mp3": "danificado",
        "/volta": "redireciona",
        "/para-longe": "endereço interno",
        "/para-arquivo": "http",
    }.items():
        corpo = {"numero_destino": FIXO, "url_audio": files.url(path)}
        answer = await api.http.post("/audio", json=corpo)
        body = answer.json()
        assert (answer.status_code, body["motivo"]) == (405, 11), (path, body)
        assert "url_audio" in body["mensagem"] and words in body["mensagem"], (path, body)
    assert (await api.ask("GET", "/audio/relatorio"))["total"] == before
    assert ana.total == 0


async def test_a_redirect_is_followed(api: Api, ana: Phone, files: FileServer) -> None:
    await send(api, files.redirect("/de", "/fala.mp3"))
    call = await answered(ana)
    await call.hears(HZ)
    await call.ended(within=4)


async def test_internal_addresses_are_refused_by_default(own_server: Server, own_api: Api, files: FileServer) -> None:
    own_server.start()
    for url in (files.url("/fala.mp3"), files.url("/fala.mp3").replace("127.0.0.1", "localhost")):
        answer = await own_api.http.post("/audio", json={"numero_destino": "1030000001", "url_audio": url})
        assert (answer.status_code, answer.json()["motivo"]) == (405, 11)
        assert "intern" in answer.json()["mensagem"]
    assert not files.hits


async def test_scheduled_edited_and_cancelled(api: Api, ana: Phone, files: FileServer) -> None:
    def at(seconds: float) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()

    id = await send(api, files.url("/fala.mp3"), data_criacao=at(3600))
    cancelled = await send(api, files.url("/fala.mp3"), data_criacao=at(3600))
    dados = await audio(api, id)
    assert (dados["status"], dados["data_inicio"]) == ("preparando", None)
    await api.ask("PUT", f"/audio/{id}", json={"numero_destino": MOVEL, "data_criacao": at(2), "tags": "mudou"})
    await api.ask("DELETE", f"/audio/{cancelled}")
    assert (await audio(api, cancelled))["status"] == "cancelada"
    call = await answered(ana)
    assert call.to_number == MOVEL
    await call.hears(HZ)
    answer = await api.http.put(f"/audio/{id}", json={"tags": "tarde"})
    assert (answer.status_code, answer.json()["motivo"]) == (405, 80)
    await call.ended(within=4)
    dados = await over(api, id)
    assert (dados["tags"], dados["tipo"], dados["preco"]) == ("mudou", "movel", 0.35)
    for gone in (id, cancelled):
        answer = await api.http.delete(f"/audio/{gone}")
        assert (answer.status_code, answer.json()["motivo"]) == (405, 80)
    assert ana.total == 1


async def test_ended_while_it_plays(api: Api, ana: Phone, files: FileServer) -> None:
    id = await send(api, files.url("/longa.wav"))
    call = await answered(ana)
    await call.hears(HZ)
    await api.ask("DELETE", f"/audio/{id}")
    await call.ended(within=2)
    assert (await over(api, id))["status"] == "atendida"


async def test_the_end_is_told(api: Api, ana: Phone, files: FileServer) -> None:
    async with Receiver() as receiver:
        segredo = (await api.ask("PUT", "/webhook/audio_fim", json={"url": receiver.url}))["segredo"]
        await api.ask("PUT", "/webhook/chamada_fim", json={"url": receiver.url})
        id = await send(api, files.url("/fala.mp3"), resposta_usuario=True)
        call = await answered(ana)
        await call.hears(HZ)
        await call.send_dtmf("9")
        (one,) = await receiver.got(1, within=10)
        assert one.signed_with(segredo)
        dados = await audio(api, id)
        assert one.json() == dados | {"numero_destino": "+55" + FIXO}
        assert dados["resposta"] == "9"
        for nome in ("audio_fim", "chamada_fim"):
            await api.ask("DELETE", f"/webhook/{nome}")


async def test_a_campaign_keeps_to_the_trunk(api: Api, files: FileServer, trunks: tuple[int, int]) -> None:
    """Six channels: never more at once, all called in order, by one fetch."""
    url = files.put("/campanha.wav", encoded(tone(HZ, 0.5), "wav"))
    async with AutoPhone("127.0.0.2", trunks[0], script=answering()) as phone:
        ids = [await send(api, url, tags=f"c{n}") for n in range(40)]
        page = await api.until(
            lambda: api.ask("GET", "/audio/relatorio", params={"status": "atendida", "limite": 200}),
            lambda page: {*ids} <= {one["id"] for one in page["relatorio"] if one["preco"]},
            40,
        )
    assert phone.peak == 6
    begun = {one["id"]: one["data_inicio"] for one in page["relatorio"]}
    assert [begun[id] for id in ids] == sorted(begun[id] for id in ids)
    assert files.hits["/campanha.wav", 200] == 1


async def test_none_is_lost_by_a_restart(own_server: Server, own_api: Api, files: FileServer) -> None:
    own_server.environment |= ENVIRONMENT
    own_server.start()
    port = free_port()
    own_server.run(
        "tronco", "add", "fixos", "--host", "127.0.0.2", "--porta", str(port), "--classes", "fixo",
        "--canais", "2", "--cps", "10",
    )  # fmt: skip
    async with Phone("127.0.0.2", port, tone=700) as ana:
        url = files.url("/longa.wav")
        ids = [await send(own_api, url, gravar_audio=True, resposta_usuario=True) for _ in range(5)]
        first, second = await answered(ana), await answered(ana)
        await first.hears(HZ)
        await second.hears(HZ)
        own_server.kill()
        await first.hears(HZ)
        own_server.start()
        assert {(await audio(own_api, id))["status"] for id in ids[2:]} == {"preparando"}
        await first.hears(HZ)
        await first.send_dtmf("7")
        await second.hangup()
        third = await answered(ana)
        await third.hears(HZ)
        await third.hangup()
        for _ in range(2):
            call = await answered(ana)
            await call.hears(HZ)
            await call.hangup()
        await first.ended(within=16)
        for id in ids:
            assert (await over(own_api, id))["status"] == "atendida"
        answers = [(await audio(own_api, id))["resposta"] for id in ids]
        assert sorted(answers, key=str) == ["7", None, None, None, None]
        dados = await own_api.until(lambda: audio(own_api, ids[0]), lambda dados: dados["url_gravacao"], 15)
        assert dados["duracao_falada_segundos"] >= 1
    await nothing_left(own_api)
