"""Calls dialled on a telephone, on the fake engine, as GET /chamada shows them afterwards."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.chamada.keypad import Keypad
from telefonista.engine.fake import Behaviour, FakeEngine, FakeLeg
from telefonista.engine.port import By, Destination, HungUp, TrunkAccount
from telefonista.media.tones import silence
from telefonista.media.wav import write_wav
from telefonista.storage.tables import Chamada, Conta, Evento, Perna, Tronco
from tests.contract.conftest import ContaDeTeste

Done = Callable[..., Any]

TONE = "1030000021"
MOVEL = "10930000021"
OUTSIDE, OUTSIDE_MOVEL = "4832830151", "48999990000"


@dataclass
class Mesa:
    """A ramal's telephone in front of the house."""

    house: House
    fake: FakeEngine
    client: httpx2.AsyncClient
    usuario: str
    id: int
    changed: asyncio.Event

    async def dial(self, numero: str, *, door: str = "ramal", endpoint: str | None = None) -> FakeLeg:
        return await self.fake.call_in(door=door, endpoint=endpoint or self.usuario, dialled=numero)

    async def gone(self, leg: FakeLeg) -> HungUp:
        async with asyncio.timeout(5):
            return await asyncio.shield(leg.gone)

    async def ended(self, leg: FakeLeg) -> HungUp:
        """The leg's ending, once the record is written too."""
        hangup = await self.gone(leg)
        if self.fake._tasks:
            await asyncio.wait(set(self.fake._tasks), timeout=5)  # the decision about the call
        await self.house.runner.drain(5)
        assert self.house.runner.active() == 0
        return hangup

    async def until(self, what: Callable[[], Any]) -> Any:
        """Wait until something is so in the engine."""
        async with asyncio.timeout(5):
            while not (found := what()):
                self.changed.clear()
                await self.changed.wait()
        return found

    def other(self, leg: FakeLeg) -> FakeLeg | None:
        return next((each for each in self.fake.legs.values() if each is not leg), None)

    async def chamadas(self) -> list[dict[str, Any]]:
        answer = await self.client.get("/chamada/relatorio")
        found: list[dict[str, Any]] = answer.json()["dados"]["relatorio"]
        return found

    async def events(self) -> list[tuple[str, str | None]]:
        def query(session: Session) -> list[tuple[str, str | None]]:
            return [(row.tipo, row.perna) for row in session.scalars(select(Evento).order_by(Evento.id))]

        return await self.house.storage.read(query)


@pytest.fixture
async def mesa(
    house: House,
    fake: FakeEngine,
    client: httpx2.AsyncClient,
    done: Done,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Mesa:
    (tmp_path / "avisos").mkdir()
    for notice in ("nao_permitido", "sem_saldo"):
        write_wav(tmp_path / "avisos" / f"{notice}.wav", silence(0.05).astype("<i2").tobytes())
    fake.on_incoming(Keypad(house, tmp_path))
    ramal = done(await client.post("/ramal", json={"nome": "Ana"}))
    changed = asyncio.Event()

    def announced(act: Callable[..., Any]) -> Callable[..., Any]:
        def spy(*arguments: Any) -> Any:
            try:
                return act(*arguments)
            finally:
                asyncio.get_running_loop().call_soon(changed.set)

        return spy

    for name in ("heard_anew", "recording"):
        monkeypatch.setattr(fake, name, announced(getattr(fake, name)))
    return Mesa(house, fake, client, ramal["sip"]["usuario"], ramal["id"], changed)


async def edit(mesa: Mesa, **fields: Any) -> None:
    assert (await mesa.client.put(f"/ramal/{mesa.id}", json=fields)).status_code == 200


async def with_trunk(mesa: Mesa) -> None:
    def add(session: Session) -> None:
        session.add(Tronco(nome="t", host="127.0.0.9", formato_numero="0nacional", criado_em=datetime.now(UTC)))

    await mesa.house.storage.write(add)
    await mesa.fake.put_trunk(TrunkAccount("tronco-1", "127.0.0.9", 5060, "udp"))


async def answered(leg: FakeLeg) -> None:
    async with asyncio.timeout(5):
        await leg.answered()


# -- conversations ---------------------------------------------------------------------------------------------------


async def test_to_the_test_network(mesa: Mesa) -> None:
    mesa.fake.behaviour(TONE, ring=0.02, answer=0.05)
    leg = await mesa.dial(TONE)
    await answered(leg)
    other = mesa.other(leg)
    assert other is not None and other.up.result() <= leg.up.result(), "the telephone is answered when destino is"
    leg.far_hangs_up()
    await mesa.ended(leg)
    (chamada,) = await mesa.chamadas()
    assert chamada["ramal_id_origem"] == mesa.id and chamada["status_geral"] == "finalizada"
    origem, destino = chamada["origem"], chamada["destino"]
    assert (origem["numero"], origem["tipo"], origem["status"]) == ("4000", "ramal", "atendida")
    assert (destino["numero"], destino["tipo"], destino["status"]) == (TONE, "fixo", "atendida")
    assert origem["motivo_desconexao"] == destino["motivo_desconexao"] == "16. normal"
    assert origem["preco"] == 0 and destino["preco"] == 0.12
    assert chamada["gravar_audio"] is False and chamada["url_gravacao"] is None
    assert await mesa.events() == [
        *(("criada", None), ("recebida", "a"), ("discada", "b"), ("chamando", "b"), ("atendida", "b")),
        *(("atendida", "a"), ("conversa", None), ("desligada", "a"), ("desligada", "b"), ("fim", None)),
    ]


async def test_hears_ringing_before_it_is_answered(mesa: Mesa) -> None:
    mesa.fake.behaviour(TONE, ring=0.01)
    leg = await mesa.dial(TONE)
    await mesa.until(lambda: mesa.fake.hearing(leg) == {"ringback"})
    assert not leg.up.done()
    leg.far_hangs_up()
    await mesa.ended(leg)
    (chamada,) = await mesa.chamadas()
    assert (chamada["origem"]["status"], chamada["destino"]["status"]) == ("cancelada", "cancelada")
    assert chamada["destino"]["preco"] == 0


async def test_between_ramais_rings_all_devices_and_shows_the_number(mesa: Mesa, done: Done) -> None:
    other = done(await mesa.client.post("/ramal"))["sip"]["usuario"]
    mesa.fake.register(other, "d1", Behaviour(ring=0.01))
    mesa.fake.register(other, "d2", Behaviour(ring=0.01, answer=0.05))
    leg = await mesa.dial("4001")
    await answered(leg)
    assert {(to.device, bina.numero, bina.nome) for _, to, bina in mesa.fake.dialled} == {
        ("d1", "4000", "Ana"),
        ("d2", "4000", "Ana"),
    }
    for each in list(mesa.fake.legs.values()):
        if each is not leg and each.up.done():
            each.far_hangs_up()
    await mesa.ended(leg)
    (chamada,) = await mesa.chamadas()
    assert (chamada["destino"]["tipo"], chamada["destino"]["status"]) == ("ramal", "atendida")
    assert chamada["destino"]["preco"] == 0


async def test_recorded_as_the_ramal_says(mesa: Mesa) -> None:
    await edit(mesa, gravar_audio=True)
    mesa.fake.behaviour(TONE, answer=0.02)
    leg = await mesa.dial(TONE)
    await answered(leg)
    await mesa.until(lambda: mesa.fake.recordings)
    await mesa.until(lambda: [recording for recording in mesa.fake.recordings.values() if recording.who])
    leg.far_hangs_up()
    await mesa.ended(leg)
    (recording,) = mesa.fake.recordings.values()
    assert recording.who == {leg.id}


async def test_the_incoming_leg_is_kept_on_its_perna(mesa: Mesa) -> None:
    """What recovery finds the telephone by after a restart."""
    mesa.fake.behaviour(TONE, answer=0.02)
    leg = await mesa.dial(TONE)
    await answered(leg)
    leg.far_hangs_up()
    await mesa.ended(leg)

    def legs(session: Session) -> list[str | None]:
        return [perna.leg for perna in session.scalars(select(Perna).order_by(Perna.letra))]

    first, second = await mesa.house.storage.read(legs)
    assert first == leg.id and second is not None and second.endswith("-b")


async def test_ended_by_api(mesa: Mesa) -> None:
    mesa.fake.behaviour(TONE, answer=0.02)
    leg = await mesa.dial(TONE)
    await answered(leg)
    (id,) = [chamada["id"] for chamada in await mesa.chamadas()]
    assert (await mesa.client.delete(f"/chamada/{id}")).json()["mensagem"] == "encerrando chamada"
    assert (await mesa.ended(leg)).by is By.US


# -- destino is not reached ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numero", "cause", "status"),
    [
        ("1030000003", 17, "ocupado"),
        ("1030000005", 1, "não existe"),
        ("1030000006", 34, "congestionado"),
        ("1030000010", 21, "falha"),
    ],
)
async def test_destino_refuses(mesa: Mesa, numero: str, cause: int, status: str) -> None:
    leg = await mesa.dial(numero)
    hangup = await mesa.ended(leg)
    assert (hangup.cause, hangup.by) == (cause, By.US) and not leg.up.done()
    (chamada,) = await mesa.chamadas()
    assert chamada["destino"]["status"] == status
    assert chamada["origem"]["motivo_desconexao"].startswith(f"{cause}. ")
    assert chamada["origem"]["duracao_falada_segundos"] == 0 and chamada["origem"]["preco"] == 0


async def test_destino_does_not_answer(mesa: Mesa) -> None:
    leg = await mesa.dial("1030000004")
    assert (await mesa.ended(leg)).cause == 19
    (chamada,) = await mesa.chamadas()
    assert chamada["destino"]["status"] == "sem resposta"


async def test_nobody_is_registered(mesa: Mesa, done: Done) -> None:
    done(await mesa.client.post("/ramal"))
    assert (await mesa.ended(await mesa.dial("4001"))).cause == 20
    (chamada,) = await mesa.chamadas()
    assert chamada["destino"]["status"] == "sem resposta"


async def test_the_engine_dies(mesa: Mesa) -> None:
    mesa.fake.behaviour(TONE, answer=0.02)
    leg = await mesa.dial(TONE)
    await answered(leg)
    mesa.fake.crash()
    await mesa.ended(leg)
    (chamada,) = await mesa.chamadas()
    assert chamada["status_geral"] == "finalizada"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numero", ["1030009999", "9", "4567", "abc", "0", "x" * 300, "90" + "4832830151"])
async def test_unknown_number(mesa: Mesa, numero: str) -> None:
    await edit(mesa, ligacao_externa=True)
    hangup = await mesa.ended(await mesa.dial(numero))
    assert hangup.cause in (1, 3) and hangup.by is By.US
    assert await mesa.chamadas() == []


@pytest.mark.parametrize("numero", ["190", "192", "0190", "911", "112"])
async def test_emergency_is_refused(mesa: Mesa, numero: str) -> None:
    await edit(mesa, ligacao_externa=True, ligacao_celular=True)
    leg = await mesa.dial(numero)
    assert (await mesa.ended(leg)).cause == 21 and not leg.up.done()
    assert await mesa.chamadas() == []


@pytest.mark.parametrize(
    ("rights", "numero", "allowed"),
    [
        ({}, OUTSIDE, False),
        ({"ligacao_celular": True}, OUTSIDE, False),
        ({"ligacao_externa": True}, OUTSIDE, True),
        ({"ligacao_externa": True}, OUTSIDE_MOVEL, False),
        ({"ligacao_externa": True, "ligacao_celular": True}, OUTSIDE_MOVEL, True),
        ({}, MOVEL, True),
    ],
)
async def test_rights(mesa: Mesa, rights: dict[str, bool], numero: str, allowed: bool) -> None:
    await with_trunk(mesa)
    await edit(mesa, **rights)
    mesa.fake.behaviour(f"0{numero}", answer=0.02)
    mesa.fake.behaviour(numero, answer=0.02)
    leg = await mesa.dial(numero)
    if allowed:
        await answered(leg)
        leg.far_hangs_up()
    hangup = await mesa.ended(leg)
    (chamada,) = await mesa.chamadas()
    if allowed:
        assert chamada["destino"]["status"] == "atendida"
        assert numero == MOVEL or mesa.fake.dialled[0][1] == Destination("tronco-1", numero=f"0{numero}")
    else:
        assert (hangup.cause, hangup.by, leg.up.done()) == (21, By.US, False)
        assert chamada["status_geral"] == "finalizada" and mesa.fake.dialled == []
        assert chamada["destino"]["motivo_desconexao"] == "21. chamada rejeitada"
        assert chamada["origem"]["motivo_desconexao"] == "21. chamada rejeitada"
        assert ("recusada", None) in await mesa.events()


async def test_the_notice_is_heard_before_the_refusal(
    mesa: Mesa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "avisos" / "nao_permitido.wav", silence(3600).astype("<i2").tobytes())
    played, play = asyncio.get_running_loop().create_future(), FakeLeg.play

    async def spy(leg: FakeLeg, sound: Path) -> None:
        played.set_result((sound, leg.gone.done()))
        await play(leg, sound)

    monkeypatch.setattr(FakeLeg, "play", spy)
    leg = await mesa.dial(OUTSIDE)
    async with asyncio.timeout(5):
        assert await played == (tmp_path / "avisos" / "nao_permitido.wav", False)
    leg.far_hangs_up()
    await mesa.ended(leg)
    assert [chamada["status_geral"] for chamada in await mesa.chamadas()] == ["finalizada"]


async def test_a_missing_notice_is_left_out(mesa: Mesa, tmp_path: Path) -> None:
    (tmp_path / "avisos" / "nao_permitido.wav").unlink()
    assert (await mesa.ended(await mesa.dial(OUTSIDE))).cause == 21


async def test_no_saldo(mesa: Mesa, conta: ContaDeTeste, done: Done) -> None:
    await mesa.house.storage.write(
        lambda session: session.execute(update(Conta).where(Conta.id == conta.id).values(saldo=Decimal("0.10")))
    )
    leg = await mesa.dial(TONE)
    assert (await mesa.ended(leg)).cause == 21
    (chamada,) = await mesa.chamadas()
    assert chamada["destino"]["motivo_desconexao"] == "21. chamada rejeitada"

    def reasons(session: Session) -> list[Any]:
        return [row.dados for row in session.scalars(select(Evento).where(Evento.tipo == "recusada"))]

    assert await mesa.house.storage.read(reasons) == [{"motivo": "saldo insuficiente"}]
    reserved = await mesa.house.storage.read(lambda session: session.get_one(Conta, conta.id).reservado)
    assert reserved == 0
    other = done(await mesa.client.post("/ramal"))["sip"]["usuario"]
    mesa.fake.register(other, "d1", Behaviour(answer=0.02))
    leg = await mesa.dial("4001")
    await answered(leg)  # between ramais nothing is paid
    leg.far_hangs_up()
    await mesa.ended(leg)


@pytest.mark.parametrize("endpoint", ["4999c1", "4000c99", "tronco-1", "c", "x"])
async def test_a_ramal_that_is_not_there(mesa: Mesa, endpoint: str) -> None:
    assert (await mesa.ended(await mesa.dial(TONE, endpoint=endpoint))).cause == 21
    assert await mesa.chamadas() == []


async def test_from_a_trunk(mesa: Mesa) -> None:
    assert (await mesa.ended(await mesa.dial(OUTSIDE, door="entrada", endpoint="tronco-1"))).cause == 1
    assert await mesa.chamadas() == []


async def test_while_shutting_down(mesa: Mesa) -> None:
    mesa.house.runner.draining = True
    assert (await mesa.ended(await mesa.dial(TONE))).cause == 34
    assert await mesa.chamadas() == []


@pytest.mark.parametrize("after", [0.0, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08])
@pytest.mark.parametrize("who", ["caller", "api", "engine"])
async def test_ends_cleanly_at_any_moment(mesa: Mesa, after: float, who: str) -> None:
    """Whenever it ends and whoever ends it: one record, both legs gone, nothing reserved."""
    mesa.fake.behaviour(TONE, ring=0.01, answer=0.03)
    leg = await mesa.dial(TONE)
    await asyncio.wait({leg.gone}, timeout=after)
    match who:
        case "caller":
            leg.far_hangs_up()
        case "engine":
            mesa.fake.crash()
        case "api":
            for id in await mesa.house.storage.read(lambda session: list(session.scalars(select(Chamada.id)))):
                mesa.house.runner.cancel(id)
            leg.far_hangs_up()
    await mesa.ended(leg)
    await mesa.fake.settle()
    assert mesa.fake.leftovers() == []

    def state(session: Session) -> tuple[list[str], Decimal]:
        reserved = session.scalars(select(Conta.reservado).order_by(Conta.id)).first()
        return list(session.scalars(select(Chamada.status_geral))), reserved or Decimal(0)

    rows, reserved = await mesa.house.storage.read(state)
    assert rows in ([], ["finalizada"]) and reserved == 0
