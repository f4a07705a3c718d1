"""Rooms over HTTP on the fake engine: made, called into, muted, ended, listed; refusals; dialled from a keypad."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling import recordings
from telefonista.calling.creating import limits_of
from telefonista.calling.house import House
from telefonista.calling.records import Fact, note
from telefonista.calling.recovery import recover
from telefonista.chamada.keypad import Keypad
from telefonista.conferencia.calls import CODE, Convite, add_call
from telefonista.conferencia.door import Door
from telefonista.conferencia.http import Conferencias
from telefonista.conferencia.queries import close_room, set_mudo
from telefonista.conferencia.resume import Resumer
from telefonista.conferencia.sweep import Sweeper
from telefonista.engine.fake import Behaviour, FakeEngine, FakeLeg
from telefonista.engine.port import HungUp
from telefonista.media.tones import sine
from telefonista.media.wav import write_wav
from telefonista.storage.tables import Conferencia, Entrega, Gravacao, LedgerEntry, Webhook
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

TONE, OTHER, BUSY, SHORT = "1030000021", "1030000022", "1030000003", "1030000011"


@dataclass
class Sala:
    """A room and those in it."""

    id: int
    client: httpx2.AsyncClient
    house: House
    fake: FakeEngine

    async def see(self) -> dict[str, Any]:
        answer = await self.client.get(f"/conferencia/{self.id}")
        assert answer.status_code == 200, answer.text
        dados: dict[str, Any] = answer.json()["dados"]
        return dados

    async def call(self, numero: str, **campos: Any) -> int:
        answer = await self.client.post(f"/conferencia/{self.id}", json={"numero": numero, **campos})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["dados"]["id"])

    async def inside(self, *ids: int) -> dict[str, Any]:
        """The room once these and no others are in it."""
        return await self.until(lambda dados: {c["id"] for c in dados["chamadas"] if c["na_sala"]} == set(ids))

    async def until(self, enough: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while not enough(dados := await self.see()):
                await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.02)
        return dados

    async def hearing(self, leg: FakeLeg, *others: FakeLeg) -> None:
        """Wait until a leg hears these and no others: the room knows who comes in a moment before it is heard."""
        async with asyncio.timeout(5):
            while self.fake.hearing(leg) != {other.id for other in others}:
                await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.02)

    def leg(self, chamada_id: int) -> FakeLeg:
        return self.fake.legs[f"{chamada_id}-a"]


@pytest.fixture
async def sala(client: httpx2.AsyncClient, house: House, fake: FakeEngine) -> Sala:
    answer = await client.post("/conferencia")
    return Sala(int(answer.json()["dados"]["id"]), client, house, fake)


async def test_an_empty_body_makes_a_room(client: httpx2.AsyncClient, done: Done) -> None:
    id = done(await client.post("/conferencia"), "conferencia criado com sucesso")["id"]
    dados = done(await client.get(f"/conferencia/{id}"), "dados retornados com sucesso")
    assert list(dados) == ["id", "data_criacao", "data_termino", "chamadas", "pin"]
    assert (dados["id"], dados["data_termino"], dados["chamadas"]) == (id, None, [])
    assert done(await client.post("/conferencia", json={}))["id"] == id + 1


async def test_three_hear_each_other_and_one_leaves(sala: Sala, done: Done) -> None:
    answer = await sala.client.post(f"/conferencia/{sala.id}", json={"numero": TONE, "bina": "4832830151"})
    first = done(answer, "chamada da conferencia criada com sucesso")["id"]
    ids = [first, await sala.call(OTHER), await sala.call(TONE)]
    dados = await sala.inside(*ids)
    assert list(dados["chamadas"][0])[:4] == ["id", "conferencia_id", "url_gravacao", "numero"]
    assert [c["conferencia_id"] for c in dados["chamadas"]] == [sala.id] * 3
    assert [c["numero"] for c in dados["chamadas"]] == [TONE, OTHER, TONE]
    assert {c["status"] for c in dados["chamadas"]} == {"atendida"}
    legs = [sala.leg(id) for id in ids]
    for leg in legs:
        await sala.hearing(leg, *(other for other in legs if other is not leg))
    assert list(sala.fake.bridges) == [f"conf-{sala.id}"]
    assert sala.fake.dialled[0][2].numero == "4832830151"
    legs[1].far_hangs_up()
    dados = await sala.until(lambda seen: seen["chamadas"][1]["preco"])
    assert dados["chamadas"][1]["preco"] == 0.12
    assert dados["chamadas"][1]["motivo_desconexao"] == "16. normal"
    await sala.hearing(legs[0], legs[2])
    for leg in (legs[0], legs[2]):
        leg.far_hangs_up()
    await sala.house.runner.drain(5)
    assert sala.fake.bridges == {}
    assert (await sala.see())["data_termino"] is None  # it stays open
    again = await sala.call(TONE)
    await sala.inside(again)


async def test_mute_and_kick(sala: Sala, done: Done, refused: Refused) -> None:
    ids = [await sala.call(TONE), await sala.call(OTHER)]
    await sala.inside(*ids)
    a, b = (sala.leg(id) for id in ids)
    await sala.hearing(a, b)
    await sala.hearing(b, a)
    place = f"/conferencia/{sala.id}/chamadas/{ids[0]}"
    done(await sala.client.put(place, json={"mudo": True}), "dados atualizados com sucesso")
    assert (sala.fake.hears(b, a), sala.fake.hears(a, b)) == (False, True)
    assert [c["mudo"] for c in (await sala.see())["chamadas"]] == [True, False]
    done(await sala.client.put(place, json={"mudo": "nao"}))
    assert sala.fake.hears(b, a)
    refused(await sala.client.put(place, json={}), 405, 10, "mudo")
    done(await sala.client.delete(place), "encerrando chamada")
    await sala.inside(ids[1])
    await sala.until(lambda seen: seen["chamadas"][0]["preco"])
    refused(await sala.client.delete(place), 405, 80)
    refused(await sala.client.put(place, json={"mudo": True}), 405, 80)
    assert not b.gone.done()


async def test_muted_before_it_comes_in(sala: Sala) -> None:
    ids = [await sala.call(OTHER), await sala.call(TONE)]
    answer = await sala.client.put(f"/conferencia/{sala.id}/chamadas/{ids[1]}", json={"mudo": True})
    assert answer.status_code == 200
    await sala.inside(*ids)
    a, b = (sala.leg(id) for id in ids)
    await sala.hearing(b, a)
    assert not sala.fake.hears(a, b)


async def test_delete_ends_everybody(sala: Sala, done: Done, refused: Refused) -> None:
    ids = [await sala.call(TONE), await sala.call(OTHER)]
    await sala.inside(*ids)
    ids.append(await sala.call("1030000004"))  # rings
    legs = [sala.leg(id) for id in ids[:2]]
    done(await sala.client.delete(f"/conferencia/{sala.id}"), "encerrando conferencia")
    await asyncio.wait({leg.gone for leg in legs}, timeout=5)
    await sala.house.runner.drain(5)
    dados = await sala.see()
    assert dados["data_termino"] is not None
    assert [c["status"] for c in dados["chamadas"]] == ["atendida", "atendida", "cancelada"]
    assert [c["preco"] for c in dados["chamadas"]] == [0.12, 0.12, 0]
    refused(await sala.client.delete(f"/conferencia/{sala.id}"), 405, 80)
    refused(await sala.client.post(f"/conferencia/{sala.id}", json={"numero": TONE}), 405, 80)


async def test_a_busy_number_leaves_the_room_alone(sala: Sala) -> None:
    id = await sala.call(TONE)
    await sala.inside(id)
    await sala.call(BUSY)
    dados = await sala.until(lambda seen: seen["chamadas"][1]["status"] == "ocupado")
    assert dados["chamadas"][1]["preco"] == 0
    assert dados["chamadas"][1]["motivo_desconexao"] == "17. ocupado"
    assert not sala.leg(id).gone.done()


async def test_refusals(
    sala: Sala, stranger: httpx2.AsyncClient, house: House, conta: ContaDeTeste, refused: Refused
) -> None:
    client = sala.client
    refused(await client.post(f"/conferencia/{sala.id}", json={}), 405, 10, "numero")
    refused(await client.post(f"/conferencia/{sala.id}", json={"numero": "190"}), 405, 11, "numero")
    refused(await client.post(f"/conferencia/{sala.id}", json={"numero": TONE, "bina": "x"}), 405, 11, "bina")
    refused(await client.post("/conferencia/999", json={"numero": TONE}), 404, 60)
    refused(await stranger.post(f"/conferencia/{sala.id}", json={"numero": TONE}), 404, 60)
    refused(await stranger.get(f"/conferencia/{sala.id}"), 404, 60)
    refused(await stranger.delete(f"/conferencia/{sala.id}"), 404, 60)
    refused(await client.put(f"/conferencia/{sala.id}/chamadas/999", json={"mudo": True}), 404, 60)
    refused(await client.delete(f"/conferencia/{sala.id}/chamadas/999"), 404, 60)
    refused(await client.post("/conferencia", json={"pin": "12a"}), 405, 11, "pin")
    refused(await client.post("/conferencia", json={"numero_destino": TONE}), 405, 10, "url_conferencia")
    refused(await client.post("/conferencia", json={"url_conferencia": "http://a.b/c.mp3"}), 405, 10, "numero_destino")
    wrong = {"numero_destino": TONE, "url_conferencia": "http://127.0.0.1:9/c.mp3"}
    refused(await client.post("/conferencia", json=wrong), 405, 11, "url_conferencia")
    await set_conta(house, conta.id, saldo=Decimal(0))
    refused(await client.post(f"/conferencia/{sala.id}", json={"numero": TONE}), 402, 9)
    assert (await sala.see())["chamadas"] == []
    assert sala.fake.dialled == []


async def test_a_call_of_another_room_is_not_found(sala: Sala, refused: Refused) -> None:
    id = await sala.call(TONE)
    other = (await sala.client.post("/conferencia")).json()["dados"]["id"]
    refused(await sala.client.delete(f"/conferencia/{other}/chamadas/{id}"), 404, 60)
    refused(await sala.client.put(f"/conferencia/{other}/chamadas/{id}", json={"mudo": 1}), 404, 60)


async def test_idempotency(sala: Sala, done: Done, refused: Refused) -> None:
    key = {"Idempotency-Key": "uma-vez"}
    first = done(await sala.client.post(f"/conferencia/{sala.id}", json={"numero": TONE}, headers=key))["id"]
    again = done(await sala.client.post(f"/conferencia/{sala.id}", json={"numero": TONE}, headers=key))["id"]
    assert first == again
    assert len((await sala.see())["chamadas"]) == 1
    refused(await sala.client.post(f"/conferencia/{sala.id}", json={"numero": OTHER}, headers=key), 422, 20)
    key = {"Idempotency-Key": "sala"}
    rooms = {done(await sala.client.post("/conferencia", headers=key))["id"] for _ in range(3)}
    assert len(rooms) == 1


async def test_report_lists_rooms_and_chamadas_are_not_in_theirs(sala: Sala, done: Done) -> None:
    await sala.inside(await sala.call(TONE))
    await sala.client.post("/conferencia")
    dados = done(await sala.client.get("/conferencia/relatorio"))
    assert list(dados) == ["total", "posicao", "limite", "relatorio"]
    assert (dados["total"], [len(room["chamadas"]) for room in dados["relatorio"]]) == (2, [1, 0])
    dados = done(await sala.client.get("/conferencia/relatorio", params={"posicao": 1, "limite": 1}))
    assert [room["id"] for room in dados["relatorio"]] == [sala.id + 1]
    assert done(await sala.client.get("/conferencia/relatorio", params={"data_fim": "2020-01-01"}))["total"] == 0
    assert done(await sala.client.get("/chamada/relatorio"))["total"] == 0


async def test_money_is_set_aside_and_given_back(sala: Sala, house: House, conta: ContaDeTeste) -> None:
    ids = [await sala.call(TONE), await sala.call("10930000022"), await sala.call(BUSY)]
    await sala.inside(*ids[:2])
    await sala.client.delete(f"/conferencia/{sala.id}")
    await house.runner.drain(5)

    def sums(session: Session) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for entry in session.scalars(select(LedgerEntry).where(LedgerEntry.conta_id == conta.id)):
            found[entry.kind] = found.get(entry.kind, Decimal(0)) + entry.valor
        return found

    ledger = await house.storage.read(sums)
    assert ledger["capture"] == Decimal("0.47")
    assert ledger["reserve"] == ledger["release"]


# -- webhooks --------------------------------------------------------------------------------------------------------


async def told(house: House) -> list[tuple[str, int | None, dict[str, Any]]]:
    """What was written for delivery: the event, whose, and the room."""

    def query(session: Session) -> list[dict[str, Any]]:
        return [row.corpo for row in session.scalars(select(Entrega).order_by(Entrega.id))]

    await house.storage.write(lambda session: None)  # what was queued before is done
    return [(corpo["evento"], corpo["chamada_id"], corpo["conferencia"]) for corpo in await house.storage.read(query)]


async def test_who_comes_goes_and_talks_is_told(sala: Sala, house: House, conta: ContaDeTeste) -> None:
    def subscribe(session: Session) -> None:
        session.add(
            Webhook(
                conta_id=conta.id,
                nome="conferencia_tempo_real",
                url="http://x/y",
                segredo="s",
                criado_em=datetime.now(UTC),
            )
        )

    await house.storage.write(subscribe)
    id = await sala.call(TONE)
    await sala.inside(id)
    leg = sala.leg(id)
    async with asyncio.timeout(5):
        while not (await sala.see())["chamadas"][0]["falando"]:
            leg.far_talks(True)  # told from the moment the room listens
    leg.far_talks(True)
    leg.far_talks(False)
    assert (await sala.see())["chamadas"][0]["falando"] is False
    await sala.client.put(f"/conferencia/{sala.id}/chamadas/{id}", json={"mudo": True})
    leg.far_talks(True)  # to nobody
    assert (await sala.see())["chamadas"][0]["falando"] is False
    leg.far_hangs_up()
    await house.runner.drain(5)
    busy = await sala.call(BUSY)
    await house.runner.drain(5)
    await sala.client.delete(f"/conferencia/{sala.id}")
    seen = await told(house)
    assert [(evento, chamada_id) for evento, chamada_id, _ in seen] == [
        ("entrou", id),
        ("falando", id),
        ("silencio", id),
        ("saiu", id),
        ("nao_entrou", busy),
        ("encerrada", None),
    ]
    assert seen[0][2]["chamadas"][0]["na_sala"] is True
    assert seen[3][2]["chamadas"][0]["preco"] == 0.12
    assert list(seen[-1][2]) == list(await sala.see())
    dados = await sala.see()
    for parte in dados["chamadas"]:
        parte["numero"] = f"+55{parte['numero']}"
    assert seen[-1][2] == dados


# -- from a keypad ---------------------------------------------------------------------------------------------------


@dataclass
class Telefone:
    """A ramal's telephone in front of the house."""

    fake: FakeEngine
    house: House
    usuario: str

    async def dial(self, numero: str) -> FakeLeg:
        return await self.fake.call_in(door="ramal", endpoint=self.usuario, dialled=numero)

    async def gone(self, leg: FakeLeg) -> HungUp:
        async with asyncio.timeout(5):
            return await asyncio.shield(leg.gone)


@pytest.fixture
async def telefone(
    house: House, fake: FakeEngine, client: httpx2.AsyncClient, conferencias: Conferencias, conta: ContaDeTeste
) -> Telefone:
    avisos = conferencias.doorman.avisos
    avisos.mkdir(parents=True, exist_ok=True)
    for nome in ("conferencia_pin", "conferencia_pin_incorreto", "conferencia_inexistente", "sem_saldo"):
        write_wav(avisos / f"{nome}.wav", sine(700, 0.05).tobytes())
    fake.on_incoming(Keypad(house, house.sounds, {CODE: Door(house, conferencias.doorman)}))
    await client.post("/ramal", json={"ramal": "4000"})
    return Telefone(fake, house, f"4000c{conta.id}")


async def test_a_ramal_dials_the_room(sala: Sala, telefone: Telefone) -> None:
    first = await sala.call(TONE)
    await sala.inside(first)
    leg = await telefone.dial(f"*6{sala.id}")
    dados = await sala.until(lambda seen: len([c for c in seen["chamadas"] if c["na_sala"]]) == 2)
    came = dados["chamadas"][1]
    assert (came["numero"], came["tipo"], came["status"]) == ("4000", "ramal", "atendida")
    await sala.hearing(leg, sala.leg(first))
    leg.far_hangs_up()
    await sala.inside(first)


async def test_a_room_that_is_not_there(sala: Sala, telefone: Telefone, stranger: httpx2.AsyncClient) -> None:
    foreign = (await stranger.post("/conferencia")).json()["dados"]["id"]
    await sala.client.delete(f"/conferencia/{sala.id}")
    for dialled in (f"*6{sala.id}", f"*6{foreign}", "*6", "*6*", "*6999999999999999999999"):
        hangup = await telefone.gone(await telefone.dial(dialled))
        assert hangup.cause == 1
    assert (await sala.see())["chamadas"] == []


def press(leg: FakeLeg, keys: str) -> None:
    for key in keys:
        leg.far_presses(key)


@pytest.mark.parametrize(
    ("typed", "enters"),
    [
        (["4321"], True),
        (["43", "21"], True),
        (["1111", "4321"], True),
        (["9#", "4321"], True),
        (["1", "2222", "33#", "44#"], False),
    ],
)
async def test_the_pin(
    client: httpx2.AsyncClient, telefone: Telefone, house: House, fake: FakeEngine, typed: list[str], enters: bool
) -> None:
    id = (await client.post("/conferencia", json={"pin": "4321"})).json()["dados"]["id"]
    sala = Sala(id, client, house, fake)
    leg = await telefone.dial(f"*6{id}")
    for keys in typed:
        press(leg, keys)
    if enters:
        dados = await sala.until(lambda seen: seen["chamadas"] and seen["chamadas"][0]["na_sala"])
        leg.far_hangs_up()
        await telefone.gone(leg)
    else:
        hangup = await telefone.gone(leg)
        assert hangup.cause == 21
    await house.runner.drain(5)
    dados = await sala.see()
    assert dados["chamadas"][0]["status"] == "atendida"
    assert dados["pin"] == "4321"


# -- after a restart of ours, and a day of silence -------------------------------------------------------------------


async def test_calls_in_a_room_are_taken_up_again(
    sala: Sala, house: House, fake: FakeEngine, conferencias: Conferencias, conta: ContaDeTeste
) -> None:
    """Rows as a killed server leaves them: two in the room, one of them muted, one ringing, one whose leg is gone."""
    limits, now = limits_of(house.settings), datetime.now(UTC)
    ids = []
    for numero in (TONE, OTHER, "1030000004", TONE):
        convite = Convite(numero, gravar=numero == OTHER)
        ids.append((await house.storage.write(add_call, conta.id, sala.id, convite, limits, now)).id)
    for id in (ids[0], ids[1], ids[3]):
        for fact in (
            Fact("discada", now, "a", {"leg": f"{id}-a"}),
            Fact("atendida", now, "a", {"leg": f"{id}-a"}),
            Fact("conversa", now),
        ):
            await house.storage.write(note, id, fact)
    await house.storage.write(note, ids[2], Fact("discada", now, "a", {"leg": f"{ids[2]}-a"}))
    await house.storage.write(recordings.create, ids[1], "completa", "origem", now)
    await house.storage.write(set_mudo, conta.id, sala.id, ids[1], True)
    far = Behaviour(hertz=440)
    a, b, ringing = (fake.survivor(f"{id}-a", far) for id in ids[:3])
    await recover(fake, house.storage, house.runner, {"conferencia": Resumer(conferencias.doorman, house.runner)})
    dados = await sala.inside(*ids[:2])
    await sala.hearing(b, a)
    assert not fake.hears(a, b)
    assert [c["mudo"] for c in dados["chamadas"]] == [False, True, False, False]
    await asyncio.wait({ringing.gone}, timeout=5)
    dados = await sala.see()
    assert [c["status"] for c in dados["chamadas"]] == ["atendida", "atendida", "falha", "atendida"]
    assert [c["na_sala"] for c in dados["chamadas"]] == [True, True, False, False]
    b.far_hangs_up()
    await sala.inside(ids[0])
    await sala.client.delete(f"/conferencia/{sala.id}")
    await house.runner.drain(5)
    assert {c["preco"] for c in (await sala.see())["chamadas"]} == {0.12, 0}

    def gravacoes(session: Session) -> list[str]:
        return [row.estado for row in session.scalars(select(Gravacao))]

    assert await house.storage.read(gravacoes) == ["convertendo"]


async def test_a_room_ended_while_we_were_away_takes_up_nobody(
    sala: Sala, house: House, fake: FakeEngine, conferencias: Conferencias, conta: ContaDeTeste
) -> None:
    limits, now = limits_of(house.settings), datetime.now(UTC)
    id = (await house.storage.write(add_call, conta.id, sala.id, Convite(TONE), limits, now)).id
    await house.storage.write(note, id, Fact("atendida", now, "a", {"leg": f"{id}-a"}))
    await house.storage.write(note, id, Fact("conversa", now))
    await house.storage.write(close_room, conta.id, sala.id, now)
    leg = fake.survivor(f"{id}-a", Behaviour())
    await recover(fake, house.storage, house.runner, {"conferencia": Resumer(conferencias.doorman, house.runner)})
    await asyncio.wait({leg.gone}, timeout=5)
    assert (await sala.see())["chamadas"][0]["na_sala"] is False


async def test_idle_rooms_are_ended(sala: Sala, conferencias: Conferencias, house: House) -> None:
    day = timedelta(hours=24)
    busy = (await sala.client.post("/conferencia")).json()["dados"]["id"]
    used = (await sala.client.post("/conferencia")).json()["dados"]["id"]

    def age(session: Session) -> None:
        for room in session.scalars(select(Conferencia)):
            room.data_criacao -= 2 * day

    await sala.client.post(f"/conferencia/{busy}", json={"numero": TONE})
    await sala.client.post(f"/conferencia/{used}", json={"numero": BUSY})
    other = Sala(busy, sala.client, house, sala.fake)
    await other.until(lambda seen: seen["chamadas"][0]["na_sala"])
    await Sala(used, sala.client, house, sala.fake).until(lambda seen: seen["chamadas"][0]["status"] == "ocupado")
    await house.storage.write(age)
    await house.storage.write(lambda session: None)
    now = datetime.now(UTC)
    sweeper = Sweeper(conferencias.herald)
    next_at = await sweeper.sweep(now)
    ended = await house.storage.read(
        lambda session: {room.id: room.encerrada_em is not None for room in session.scalars(select(Conferencia))}
    )
    assert ended == {sala.id: True, busy: False, used: False}
    assert now + day - timedelta(seconds=10) < next_at <= now + day + timedelta(seconds=10)
    assert await sweeper.sweep(next_at) > next_at
    ended = await house.storage.read(
        lambda session: {room.id: room.encerrada_em is not None for room in session.scalars(select(Conferencia))}
    )
    assert ended == {sala.id: True, busy: False, used: True}
