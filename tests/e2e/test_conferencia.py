"""Rooms with real telephones: who hears whom, from three to twenty; mute, kick, recordings, `*6`, webhooks, deaths."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from telefonista.media.tones import sine
from telefonista.media.wav import write_wav
from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.ramais import ramal
from tests.e2e.server import Server, free_port
from tests.phone import Phone, Refused, Silence, Tone
from tests.phone.call import Call
from tests.receiver import Receiver

ANA, BIA, CAIO = 700, 1300, 1900
TWENTY = [f"48328301{number:02}" for number in range(20)]
SETTINGS = {
    "TELEFONISTA_RING_SECONDS": "5",
    "TELEFONISTA_CONFIRMED_BINA": "off",
    "TELEFONISTA_INTERNAL_URLS": "on",
    "TELEFONISTA_REQUESTS_PER_SECOND": "0",
    "TELEFONISTA_CALLS_PER_SECOND": "0",
}


def add_trunk(server: Server) -> int:
    """A carrier for fixo and movel numbers at 127.0.0.2; its port."""
    port = free_port()
    server.run(
        "tronco", "add", "todos", "--host", "127.0.0.2", "--porta", str(port), "--classes", "fixo,movel",
        "--canais", "200", "--cps", "100",
    )  # fmt: skip
    return port


@pytest.fixture(scope="module")
def casa(tmp_path_factory: pytest.TempPathFactory, worker: int) -> Iterator[tuple[Server, int]]:
    first = 31600 + 2000 * worker
    server = Server(tmp_path_factory.mktemp("salas") / "h", f"{first}-{first + 399}", environment=dict(SETTINGS))
    server.start()
    port = add_trunk(server)
    yield server, port
    assert server.stop() == 0
    assert "Traceback" not in server.log()
    # A burst of twenty calls is told as a long queue when the machine is busy with others.
    assert [line for line in server.complaints() if "Taskprocessor" not in line] == []


@pytest.fixture
async def api(casa: tuple[Server, int]) -> AsyncIterator[Api]:
    """Its API; afterwards nothing is left in the engine, and no webhook set."""
    api = Api(casa[0])
    async with api.http:
        yield api
        for webhook in await api.ask("GET", "/webhook"):
            await api.ask("DELETE", f"/webhook/{webhook['nome']}")
        await nothing_left(api)


@pytest.fixture
async def todos(casa: tuple[Server, int]) -> AsyncIterator[Phone]:
    """The telephone of every number."""
    async with Phone("127.0.0.2", casa[1]) as phone:
        yield phone


@dataclass
class Sala:
    """A room, and the telephones called into it by the ids of their chamadas."""

    api: Api
    phone: Phone
    id: int
    calls: dict[int, Call] = field(default_factory=dict)

    async def see(self) -> dict[str, Any]:
        dados: dict[str, Any] = await self.api.ask("GET", f"/conferencia/{self.id}")
        return dados

    async def chamada(self, id: int) -> dict[str, Any]:
        (found,) = [chamada for chamada in (await self.see())["chamadas"] if chamada["id"] == id]
        return dict(found)

    async def invite(self, numero: str, tone: int = 0, **campos: Any) -> int:
        """Call a number, which answers and says a tone; the chamada's id."""
        id = int((await self.api.ask("POST", f"/conferencia/{self.id}", json={"numero": numero, **campos}))["id"])
        try:
            call = await self.phone.incoming()
        except TimeoutError:
            raise AssertionError(f"{await self.chamada(id)}\n{self.api.server.log()[-3000:]}") from None
        assert call.to_number == numero
        await call.answer(Tone(tone) if tone else Silence())
        self.calls[id] = call
        await self.api.until(lambda: self.chamada(id), lambda chamada: chamada["na_sala"], within=5)
        return id

    async def over(self, id: int, within: float = 5) -> dict[str, Any]:
        """One call once it has its ending."""
        ended = lambda chamada: chamada["motivo_desconexao"] != "indefinido" and not chamada["na_sala"]  # noqa: E731
        found: dict[str, Any] = await self.api.until(lambda: self.chamada(id), ended, within)
        return found

    async def end(self) -> None:
        await self.api.ask("DELETE", f"/conferencia/{self.id}")
        await asyncio.gather(*(call.ended(within=3) for call in self.calls.values()))


async def make(api: Api, phone: Phone, **campos: Any) -> Sala:
    return Sala(api, phone, int((await api.ask("POST", "/conferencia", json=campos))["id"]))


async def three(sala: Sala, **campos: Any) -> tuple[int, int, int]:
    """Ana, Bia and Caio in the room; `campos` are Bia's."""
    ana = await sala.invite(FIXO, ANA)
    bia = await sala.invite(MOVEL, BIA, **campos)
    return ana, bia, await sala.invite("4832830199", CAIO)


async def everybody_hears(sala: Sala, tones: dict[int, int]) -> None:
    """Each of these hears the tones of the others and not its own."""
    for id, own in tones.items():
        await sala.calls[id].hears(*(tone for other, tone in tones.items() if other != id))
        await sala.calls[id].hears_not(own, within=2)


async def test_each_hears_the_others_and_they_go_on_when_one_leaves(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    a, b, c = await three(sala, bina="4832830152")
    assert sala.calls[b].from_number == "4832830152"
    await everybody_hears(sala, {a: ANA, b: BIA, c: CAIO})
    await sala.calls[b].hangup()
    await sala.calls[a].hears_not(BIA, within=2)
    await everybody_hears(sala, {a: ANA, c: CAIO})
    left = await sala.over(b)
    assert (left["status"], left["preco"], left["motivo_desconexao"]) == ("atendida", 0.35, "16. normal")
    await sala.end()
    assert (await sala.over(a))["preco"] == 0.12
    dados = await sala.see()
    assert dados["data_termino"] is not None
    assert [chamada["duracao_cobrada_segundos"] for chamada in dados["chamadas"]] == [60, 60, 60]


async def test_twenty(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    for numero in TWENTY:
        await sala.invite(numero)
    tones = [500, 900, 1400, 2000, 2700]
    ids = list(sala.calls)
    for start in range(0, 20, len(tones)):
        saying = dict(zip(ids[start : start + len(tones)], tones, strict=True))
        for id, call in sala.calls.items():
            call.play(Tone(saying[id], -24.0) if id in saying else Silence())
        for id, call in sala.calls.items():
            await call.hears(*(tone for other, tone in saying.items() if other != id), share=0.05)
        for id, tone in saying.items():
            await sala.calls[id].hears_not(tone, within=2)
    await sala.end()


async def test_twenty_at_once(api: Api, todos: Phone) -> None:
    """Called all together, and all hung up together."""
    sala = await make(api, todos)

    async def invite(numero: str) -> None:
        await api.ask("POST", f"/conferencia/{sala.id}", json={"numero": numero})

    async def answer() -> Call:
        call = await todos.incoming(within=10)
        await call.answer(Silence())
        return call

    calls, *_ = await asyncio.gather(asyncio.gather(*(answer() for _ in TWENTY)), *map(invite, TWENTY))
    full = lambda dados: all(chamada["na_sala"] for chamada in dados["chamadas"])  # noqa: E731
    assert len((await api.until(sala.see, full, within=10))["chamadas"]) == 20
    calls[0].play(Tone(ANA))
    await asyncio.gather(*(call.hears(ANA) for call in calls[1:]))
    await asyncio.gather(*(call.hangup() for call in calls))
    empty = lambda dados: not any(chamada["na_sala"] for chamada in dados["chamadas"])  # noqa: E731
    dados = await api.until(sala.see, empty, within=5)
    assert {chamada["preco"] for chamada in dados["chamadas"]} == {0.12}
    await nothing_left(api)  # an open room that nobody is in costs the engine nothing
    again = await sala.invite(FIXO, ANA)
    await sala.end()
    assert (await sala.over(again))["status"] == "atendida"


async def test_mute_and_kick(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    a, b, c = await three(sala)
    await everybody_hears(sala, {a: ANA, b: BIA, c: CAIO})
    await api.ask("PUT", f"/conferencia/{sala.id}/chamadas/{b}", json={"mudo": True})
    for id in (a, c):
        await sala.calls[id].hears_not(BIA, within=2)
    await sala.calls[b].hears(ANA, CAIO)
    assert (await sala.chamada(b))["mudo"] is True
    await api.ask("PUT", f"/conferencia/{sala.id}/chamadas/{b}", json={"mudo": False})
    await sala.calls[a].hears(BIA, CAIO)
    await api.ask("DELETE", f"/conferencia/{sala.id}/chamadas/{b}")
    await sala.calls[b].ended(within=3)
    assert (await sala.over(b))["preco"] == 0.35
    await everybody_hears(sala, {a: ANA, c: CAIO})
    await sala.end()


async def test_tones_at_the_door(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    a = await sala.invite(FIXO)
    await sala.calls[a].silent(within=3)
    heard, _ = await asyncio.gather(sala.calls[a].hears(930, within=4), sala.invite(MOVEL))
    assert heard is None
    await sala.calls[a].silent(within=3)
    b = next(id for id in sala.calls if id != a)
    await asyncio.gather(sala.calls[a].hears(930, within=4), sala.calls[b].hangup())
    await sala.end()


async def test_each_recording_has_its_own_side(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    a, b, c = await three(sala, gravar_audio="1")
    await everybody_hears(sala, {a: ANA, b: BIA, c: CAIO})
    began = time.monotonic()
    await sala.calls[b].hears_not(BIA, during=2)
    assert time.monotonic() - began > 1.5
    await sala.end()
    recorded = await api.until(lambda: sala.chamada(b), lambda chamada: chamada["url_gravacao"], within=15)
    assert (await sala.chamada(a))["url_gravacao"] is None
    link = recorded["url_gravacao"].partition(api.server.url)[2]
    left, right, rate = sides((await api.http.get(link, headers={"Access-Token": ""})).content)
    hears(left, rate, BIA, absent=(ANA, CAIO))
    hears(right, rate, ANA, CAIO, absent=(BIA,))
    assert abs(len(left) / rate - recorded["duracao_falada_segundos"]) < 1.5


async def test_numbers_that_do_not_come(api: Api, todos: Phone) -> None:
    sala = await make(api, todos)
    a = await sala.invite(FIXO, ANA)
    for numero, status in (
        ("1030000003", "ocupado"), ("1030000005", "não existe"), ("1030000006", "congestionado"),
    ):  # fmt: skip
        id = int((await api.ask("POST", f"/conferencia/{sala.id}", json={"numero": numero}))["id"])
        chamada = await sala.over(id)
        assert (chamada["status"], chamada["preco"], chamada["duracao_falada_segundos"]) == (status, 0, 0)
    ringing = int((await api.ask("POST", f"/conferencia/{sala.id}", json={"numero": "4832830198"}))["id"])
    call = await todos.incoming()
    await call.ringing()
    await api.ask("DELETE", f"/conferencia/{sala.id}/chamadas/{ringing}")
    await call.cancelled(3)
    assert (await sala.over(ringing))["status"] == "cancelada"
    late = int((await api.ask("POST", f"/conferencia/{sala.id}", json={"numero": "4832830198"}))["id"])
    call = await todos.incoming()
    await call.ringing()
    await sala.end()
    await call.cancelled(3)
    assert (await sala.over(late))["status"] == "cancelada"
    assert (await sala.over(a))["preco"] == 0.12


async def test_a_ramal_dials_the_room_and_its_pin(api: Api, todos: Phone) -> None:
    sala = await make(api, todos, pin="4321")
    first = await sala.invite(FIXO, ANA)
    async with ramal(api) as made, made.registered("127.0.0.5", tone=BIA) as phone:
        call = await phone.call(f"*6{sala.id}")
        await call.hears_not(ANA, during=0.5)
        await call.send_dtmf("99#")
        await call.send_dtmf("4321")
        await call.hears(ANA)
        await sala.calls[first].hears(BIA)
        came = (await sala.see())["chamadas"][1]
        assert (came["numero"], came["tipo"], came["na_sala"]) == (made.numero, "ramal", True)
        await call.hangup()
        assert (await sala.over(came["id"]))["status"] == "atendida"
        await sala.calls[first].hears_not(BIA, within=2)

        wrong = await phone.call(f"*6{sala.id}")
        await wrong.hears_not(ANA, during=0.3)
        for _ in range(3):
            await wrong.send_dtmf("0000")
        await wrong.ended(within=8)
        assert (await sala.over((await sala.see())["chamadas"][2]["id"]))["na_sala"] is False
        assert made.id and not await made.chamadas()

        await sala.end()
        with pytest.raises(Refused) as refused:
            await phone.call(f"*6{sala.id}", within=8)
        assert refused.value.status == 404


async def test_who_comes_goes_and_talks_is_told(api: Api, todos: Phone) -> None:
    async with Receiver() as receiver:
        await api.ask("PUT", "/webhook/conferencia_tempo_real", json={"url": receiver.url})
        sala = await make(api, todos)
        a = await sala.invite(FIXO)
        b = await sala.invite(MOVEL)
        sala.calls[a].play(Tone(ANA))
        await sala.calls[b].hears(ANA)
        talks = await api.until(lambda: sala.chamada(a), lambda chamada: chamada["falando"], within=3)
        assert talks["mudo"] is False
        sala.calls[a].play(Silence())
        await api.until(lambda: sala.chamada(a), lambda chamada: not chamada["falando"], within=3)
        await sala.calls[a].hangup()
        await sala.over(a)
        await sala.end()
        await sala.over(b)
        await receiver.got(7)
        told = [(corpo["evento"], corpo["chamada_id"]) for corpo in receiver.bodies()]
        talk = [event for event in told if event[0] in ("falando", "silencio")]
        assert talk == [("falando", a), ("silencio", a)]
        assert [event for event in told if event not in talk] == [
            ("entrou", a), ("entrou", b), ("saiu", a), ("encerrada", None), ("saiu", b),
        ]  # fmt: skip
        room = receiver.bodies()[-1]["conferencia"]
        dados = await sala.see()
        for chamada in dados["chamadas"]:
            chamada["numero"] = f"+55{chamada['numero']}"
        assert room == dados


@pytest.fixture
async def mensagem(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a message of two seconds that says 500 Hz."""
    write_wav(tmp_path / "mensagem.wav", sine(500, 2.0).astype("<i2").tobytes())
    app = web.Application()
    app.router.add_static("/", tmp_path)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/mensagem.wav"
    await runner.cleanup()


async def test_the_older_form_calls_plays_and_takes_keys(api: Api, todos: Phone, mensagem: str) -> None:
    corpo = {
        "numero_destino": FIXO, "url_conferencia": mensagem, "resposta_usuario": True, "gravar_conferencia": "true",
    }  # fmt: skip
    sala = Sala(api, todos, int((await api.ask("POST", "/conferencia", json=corpo))["id"]))
    call = await todos.incoming()
    await call.answer(Tone(ANA))
    await call.hears(500)
    await call.send_dtmf("8")
    await call.hears_not(500, within=1.5)  # the key ends the message
    dados = await api.until(sala.see, lambda dados: dados["chamadas"][0]["na_sala"], within=5)
    await call.send_dtmf("2")
    await api.until(sala.see, lambda dados: dados["resposta"] == "82", within=3)
    b = await sala.invite(MOVEL, BIA)
    await sala.calls[b].hears(ANA)
    await call.hears(BIA)
    await call.hangup()
    await sala.end()
    dados = await api.until(sala.see, lambda dados: dados["preco"], within=5)
    assert (dados["numero_destino"], dados["tipo"], dados["status"]) == (FIXO, "fixo", "atendida")
    assert (dados["url_conferencia"], dados["resposta_usuario"], dados["preco"]) == (mensagem, True, 0.12)
    await api.until(lambda: sala.chamada(dados["chamadas"][0]["id"]), lambda found: found["url_gravacao"], within=15)


async def test_the_older_form_without_keys(api: Api, todos: Phone, mensagem: str) -> None:
    corpo = {"numero_destino": FIXO, "url_conferencia": mensagem}
    sala = Sala(api, todos, int((await api.ask("POST", "/conferencia", json=corpo))["id"]))
    call = await todos.incoming()
    await call.answer(Tone(ANA))
    await call.hears(500)
    dados = await api.until(sala.see, lambda dados: dados["chamadas"][0]["na_sala"], within=5)
    await call.hears_not(500, within=1)
    assert dados["resposta"] is None
    sala.calls[dados["chamadas"][0]["id"]] = call
    await sala.end()


@pytest.fixture
async def own(own_server: Server) -> AsyncIterator[tuple[Api, Phone]]:
    """A server that may be killed, and the telephone of every number."""
    own_server.environment |= SETTINGS
    own_server.start()
    api = Api(own_server)
    async with api.http, Phone("127.0.0.2", add_trunk(own_server)) as phone:
        yield api, phone


async def test_everybody_stays_when_the_server_is_killed(own: tuple[Api, Phone], own_server: Server) -> None:
    api, phone = own
    sala = await make(api, phone)
    a, b, c = await three(sala, gravar_audio=True)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(ramal(api))
        desk = await stack.enter_async_context(made.registered("127.0.0.5"))
        dialled = await desk.call(f"*6{sala.id}")
        await dialled.hears(ANA, BIA, CAIO)
        muted = await sala.invite("4832830197", 2400)
        await api.ask("PUT", f"/conferencia/{sala.id}/chamadas/{muted}", json={"mudo": True})
        await sala.calls[a].hears_not(2400, within=2)
        leaves = await sala.invite("4832830196")
        before = {chamada["id"] for chamada in (await sala.see())["chamadas"]}

        own_server.kill()
        await everybody_hears(sala, {a: ANA, b: BIA, c: CAIO})
        await sala.calls[leaves].hangup()
        own_server.start()

        back = lambda dados: sum(chamada["na_sala"] for chamada in dados["chamadas"]) == 5  # noqa: E731
        dados = await api.until(sala.see, back, within=3)
        assert {chamada["id"] for chamada in dados["chamadas"]} == before
        assert (await sala.over(leaves))["motivo_desconexao"] == "16. normal"
        await everybody_hears(sala, {a: ANA, b: BIA, c: CAIO})
        await dialled.hears(ANA, BIA, CAIO)
        assert (await sala.chamada(muted))["mudo"] is True
        await sala.calls[a].hears_not(2400, within=1)
        await api.ask("PUT", f"/conferencia/{sala.id}/chamadas/{muted}", json={"mudo": False})
        await sala.calls[a].hears(2400)
        late = await sala.invite("4832830195", 1000)
        await sala.calls[b].hears(1000, ANA)
        await sala.calls[late].hears(ANA, BIA)
        await sala.calls[c].hangup()
        await sala.over(c)
        await dialled.hears(ANA, BIA)
        await sala.calls.pop(leaves).finish()
        await sala.end()
        await dialled.ended(within=3)
    await sala.over(late)
    recorded = await api.until(lambda: sala.chamada(b), lambda chamada: chamada["url_gravacao"], within=15)
    sidecar = own_server.recording(b)
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300
    assert recorded["preco"] == 0.35
    await nothing_left(api)


async def test_the_room_outlives_the_engine(own: tuple[Api, Phone], own_server: Server) -> None:
    api, phone = own
    sala = await make(api, phone)
    a = await sala.invite(FIXO, ANA)
    b = await sala.invite(MOVEL, BIA)
    await everybody_hears(sala, {a: ANA, b: BIA})
    os.kill(own_server.motor()["pid"], signal.SIGKILL)
    for id in (a, b):
        assert (await sala.over(id))["motivo_desconexao"] == "41. falha temporária"
    for call in sala.calls.values():
        await call.finish()
    sala.calls.clear()
    numero = {"numero": FIXO}
    post = lambda: api.http.post(f"/conferencia/{sala.id}", json=numero)  # noqa: E731
    answer = await api.until(post, lambda answer: answer.status_code == 200, within=5)
    again = int(answer.json()["dados"]["id"])
    call = await phone.incoming()
    await call.answer(Tone(ANA))
    sala.calls[again] = call
    await api.until(lambda: sala.chamada(again), lambda chamada: chamada["na_sala"], within=5)
    late = await sala.invite(MOVEL, BIA)
    await everybody_hears(sala, {again: ANA, late: BIA})
    await sala.end()
    await nothing_left(api)
