"""Scheduled calls with real telephones: on time, cancelled, over a death of the server, and many at once."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.server import Server, free_port
from tests.phone import Incoming, Phone
from tests.receiver import Receiver

SPEAKS, HANGS_UP = "1030000021", "1030000011"


def in_(seconds: float) -> tuple[str, float]:
    """An instant from now as a customer writes it, and as time.time()."""
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    return when.isoformat(), when.timestamp()


async def test_it_rings_within_a_second_of_its_time(api: Api, ana: Phone, bia: Phone) -> None:
    text, when = in_(2)
    id = await api.call(FIXO, MOVEL, data_criacao=text, tags="amanhã")
    dados = await api.chamada(id)
    assert (dados["status_geral"], dados["ativa"], dados["origem"]["data_inicio"]) == ("criada", False, None)
    a = await ana.incoming(within=4)
    assert 0 <= time.time() - when < 1
    assert a.from_number == MOVEL
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(1300)
    await b.hears(700)
    await a.hangup()
    await b.ended(within=2)
    dados = await api.ended(id)
    assert dados["origem"]["status"] == dados["destino"]["status"] == "atendida"
    assert (dados["origem"]["preco"], dados["destino"]["preco"], dados["tags"]) == (0.12, 0.35, "amanhã")


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_cancelled_one_never_rings(api: Api, ana: Phone, method: str) -> None:
    text, when = in_(1.5)
    id, other = [await api.call(FIXO, MOVEL, data_criacao=text) for _ in range(2)]
    answer = await api.http.request(method, f"/chamada/{id}")
    assert (answer.status_code, answer.json()["mensagem"]) == (200, "encerrando chamada")
    dados = await api.chamada(id)
    assert (dados["status_geral"], dados["origem"]["status"], dados["destino"]["status"]) == (
        *("finalizada", "cancelada", "cancelada"),
    )
    assert (await api.http.request(method, f"/chamada/{id}")).status_code == 405
    await (await ana.incoming(within=4)).reject(486)
    assert (await api.ended(other))["origem"]["status"] == "ocupado"
    assert ana.total == 1 and time.time() >= when


async def test_over_a_death_of_the_server(own_server: Server, own_api: Api) -> None:
    """One falls due while nobody is there, one too long before, one after the return."""
    own_server.environment["TELEFONISTA_INTERNAL_URLS"] = "on"
    own_server.start()
    async with Receiver() as receiver:
        await own_api.ask("PUT", "/webhook/chamada_fim", json={"url": receiver.url})
        text, _ = in_(3600)
        old, late, ahead = [await own_api.call(SPEAKS, HANGS_UP, data_criacao=text) for _ in range(3)]
        own_server.kill()
        when = in_(10)[1]
        for id, seconds in ((old, -660), (late, -590), (ahead, 10)):
            reschedule(own_server, id, seconds)
        own_server.start()
        started = time.time()
        dados = await own_api.ended(old)
        assert (dados["origem"]["status"], dados["destino"]["status"]) == ("falha", "cancelada")
        assert dados["origem"]["motivo_desconexao"] == "41. falha temporária"
        await own_api.until(lambda: own_api.chamada(late), lambda dados: dados["ativa"], 2)
        assert (await own_api.chamada(ahead))["status_geral"] == "criada" or time.time() >= when
        assert begun(await own_api.ended(late)) <= started + 1
        dados = await own_api.ended(ahead, within=20)
        assert dados["destino"]["status"] == "atendida"
        assert int(when) <= begun(dados) <= when + 1
        assert {one.json()["id"] for one in await receiver.got(3)} == {old, late, ahead}
    await nothing_left(own_api)


def begun(dados: dict[str, Any]) -> float:
    """When origem was dialled, as time.time(); in whole seconds."""
    return datetime.fromisoformat(dados["origem"]["data_inicio"]).timestamp()


def reschedule(server: Server, id: int, seconds: float) -> None:
    """So long from now, or ago: in the database of a server that is not there."""
    stored = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ")
    with closing(sqlite3.connect(server.home / "telefonista.db")) as database, database:
        database.execute("UPDATE chamada SET agendada_para = ? WHERE id = ?", (stored, id))


async def test_thirty_at_one_second_through_a_trunk_of_ten_a_second(api: Api) -> None:
    port, arrived = free_port(), list[float]()

    async def on_call(call: Incoming) -> None:
        arrived.append(time.time())
        await call.reject(486)

    api.server.run(
        "tronco", "add", "dez", "--host", "127.0.0.4", "--porta", str(port), "--classes", "0800",
        "--canais", "100", "--cps", "10",
    )  # fmt: skip
    try:
        async with Phone("127.0.0.4", port, on_call=on_call):
            text, when = in_(3)
            ids = [await api.call("08001234567", SPEAKS, data_criacao=text) for _ in range(30)]
            ended = [await api.ended(id, within=15) for id in ids]
    finally:
        api.server.run("tronco", "remove", "dez")
    assert {dados["origem"]["status"] for dados in ended} == {"ocupado"}
    assert len(arrived) == 30 and 0 <= arrived[0] - when < 1
    assert all(later - earlier > 0.85 for earlier, later in zip(arrived, arrived[10:], strict=False))
    assert arrived[-1] - when < 3.5
    starts = [dados["origem"]["data_inicio"] for dados in ended]
    assert starts == sorted(starts), "in their order"


async def test_more_than_the_channels_all_come_to_talk(api: Api) -> None:
    """Both legs by one trunk of four channels, eight calls due at once: two at a time, none congested."""
    port = free_port()

    async def on_call(call: Incoming) -> None:
        await call.answer()

    api.server.run(
        "tronco", "add", "estreito", "--host", "127.0.0.4", "--porta", str(port), "--classes", "0800",
        "--canais", "4", "--cps", "50",
    )  # fmt: skip
    try:
        async with Phone("127.0.0.4", port, tone=500, on_call=on_call) as phone:
            text, _ = in_(2)
            ids = [await api.call("08001234567", "08001234568", data_criacao=text) for _ in range(8)]
            for id in ids:
                await api.talking(id)
                assert phone.active <= 4
                await api.ask("DELETE", f"/chamada/{id}")
            for id in ids:
                assert (await api.ended(id))["destino"]["status"] == "atendida"
            assert phone.total == 16
    finally:
        api.server.run("tronco", "remove", "estreito")
