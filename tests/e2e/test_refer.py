"""Transfer by the telephone's own key: blind to a number, and attended between its two calls."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import MOVEL, Api
from tests.e2e.test_escuta import ANA, BIA, OUVINTE
from tests.phone import Phone, Tone

RAMAL = 500
DORA = 2300


class Desk(Phone):
    """A telephone registered as a ramal."""

    id: int
    ramal: str


@pytest.fixture
async def mesa(api: Api) -> AsyncIterator[Desk]:
    """A ramal that may call everything."""
    dados = await api.ask("POST", "/ramal", json={"ligacao_externa": True, "ligacao_celular": True})
    async with Desk("127.0.0.5", tone=RAMAL) as phone:
        phone.id, phone.ramal = dados["id"], dados["ramal"]
        await phone.register(f"127.0.0.1:{api.server.sip_port}", dados["sip"]["usuario"], dados["senha"])
        yield phone
    await api.ask("DELETE", f"/ramal/{dados['id']}")


@pytest.mark.parametrize("papel", ["origem", "destino"])
async def test_blind_transfer(api: Api, mesa: Desk, ana: Phone, bia: Phone, papel: str) -> None:
    numeros = (mesa.ramal, MOVEL) if papel == "origem" else (MOVEL, mesa.ramal)
    id = await api.call(*numeros, gravar_audio=True)
    first, second = (mesa, bia) if papel == "origem" else (bia, mesa)
    a = await first.incoming()
    await a.answer()
    b = await second.incoming()
    await b.answer()
    desk, staying = (a, b) if papel == "origem" else (b, a)
    await desk.hears(BIA)
    referral = await desk.refer(OUVINTE)
    d = await ana.incoming()
    await d.ringing()
    await staying.hears_ringback()
    await d.answer(Tone(DORA))
    await staying.hears(DORA)
    await d.hears(BIA)
    assert await referral.result() == 200
    await desk.ended(within=2)
    await d.hangup()
    await staying.ended(within=2)
    dados = await api.recorded(id)
    assert [p["papel"] for p in dados["pernas"]] == ["origem", "destino", "transferencia"]
    assert dados["pernas"][2]["numero"] == OUVINTE


async def test_the_telephone_is_told_when_nobody_comes(api: Api, mesa: Desk, ana: Phone, bia: Phone) -> None:
    id = await api.call(mesa.ramal, MOVEL)
    a = await mesa.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(BIA)
    referral = await a.refer(OUVINTE)
    await (await ana.incoming()).reject(486)
    assert await referral.result() >= 400
    await b.ended(within=4)
    assert (await api.ended(id))["pernas"][2]["status"] == "ocupado"


async def test_a_ramal_transfers_only_where_it_may_call(api: Api, mesa: Desk, bia: Phone) -> None:
    await api.ask("PUT", f"/ramal/{mesa.id}", json={"ligacao_externa": False})
    id = await api.call(mesa.ramal, MOVEL)
    a = await mesa.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(BIA)
    referral = await a.refer(OUVINTE)
    assert await referral.result() >= 400
    await a.hears(BIA)  # its call goes on
    await b.hears(RAMAL)
    await b.hangup()
    await api.ended(id)


async def test_attended_transfer_joins_the_two_calls(api: Api, mesa: Desk, ana: Phone, bia: Phone) -> None:
    id = await api.call(mesa.ramal, MOVEL, gravar_audio=True)
    a = await mesa.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(BIA)
    await a.hold()
    call = await mesa.dial(OUVINTE)
    c = await ana.incoming()
    await c.answer()
    await call.answered()
    await call.hears(ANA)
    await c.hears(RAMAL)
    other = (await api.ask("GET", "/chamada/relatorio", params={"limite": 200}))["relatorio"][-1]["id"]
    referral = await a.refer(OUVINTE, replaces=call)
    await b.hears(ANA)
    await c.hears(BIA)
    assert await referral.result() == 200
    await a.ended(within=3)
    await call.ended(within=3)
    await b.hears(ANA)
    await c.hears(BIA)
    assert (await api.ended(other))["status_geral"] == "finalizada"
    await c.hangup()
    await b.ended(within=3)
    dados = await api.recorded(id)
    assert [(p["papel"], p["status"]) for p in dados["pernas"]][2] == ("transferencia", "atendida")
