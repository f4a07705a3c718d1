"""Transfer of a running call: by API, and by the telephone's own transfer key."""

import pytest

from tests.e2e.audio import sides
from tests.e2e.conftest import FIXO, MOVEL, Api
from tests.e2e.test_escuta import ANA, BIA, OUVINTE, talk
from tests.phone import Phone, Tone
from tests.phone.audio import tone_present

DORA = 2300


@pytest.mark.parametrize("perna", ["origem", "destino"])
async def test_one_party_is_replaced(api: Api, ana: Phone, bia: Phone, perna: str) -> None:
    id, a, b = await talk(api, ana, bia, gravar_audio=True)
    leaving, staying, staying_tone = (a, b, BIA) if perna == "origem" else (b, a, ANA)
    answer = await api.http.post(f"/chamada/{id}/transfer", json={"numero": OUVINTE, "perna": perna})
    assert answer.json()["mensagem"] == "a chamada está sendo transferida"
    d = await ana.incoming()
    await leaving.ended(within=2)
    await d.ringing()
    await staying.hears_ringback()
    await d.answer(Tone(DORA))
    await staying.hears(DORA)
    await d.hears(staying_tone)
    assert (await api.chamada(id))["ativa"] is True
    for _ in range(3):
        await staying.hears(DORA)
    await staying.hangup()
    await d.ended(within=2)

    dados = await api.recorded(id)
    papeis = [(p["papel"], p["numero"], p["status"], p["preco"] > 0) for p in dados["pernas"]]
    assert papeis == [
        ("origem", FIXO, "atendida", True),
        ("destino", MOVEL, "atendida", True),
        ("transferencia", OUVINTE, "atendida", True),
    ]
    sidecar = api.server.recording(id)
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300
    left, right, rate = sides((await api.http.get(f"/chamada/{id}/gravacao")).content)
    changing, constant = (left, right) if perna == "origem" else (right, left)
    tenth = rate // 10
    assert tone_present(changing[tenth : 3 * tenth], BIA if perna == "destino" else ANA, rate)
    assert tone_present(changing[-4 * tenth : -2 * tenth], DORA, rate)
    for start in range(0, len(constant) - rate // 2, rate // 4):  # without a gap
        assert tone_present(constant[start : start + rate // 4], staying_tone, rate), f"a gap at {start / rate} s"


@pytest.mark.parametrize("perna", ["origem", "destino"])
async def test_nobody_there_to_be_transferred_to(api: Api, ana: Phone, bia: Phone, perna: str) -> None:
    id, a, b = await talk(api, ana, bia)
    staying = b if perna == "origem" else a
    await api.ask("POST", f"/chamada/{id}/transfr", json={"numero": OUVINTE, "perna": perna})
    await (await ana.incoming()).reject(486)
    await staying.hears(425)  # told by the busy tone
    await staying.ended(within=4)
    dados = await api.ended(id)
    assert dados["pernas"][2]["status"] == "ocupado"
    assert dados["pernas"][2]["preco"] == 0


async def test_the_one_who_waits_gives_up(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia)
    await api.ask("POST", f"/chamada/{id}/transfer", json={"numero": OUVINTE, "perna": "destino"})
    d = await ana.incoming()
    await d.ringing()
    await a.hangup()
    await d.cancelled(within=2)
    assert (await api.ended(id))["pernas"][2]["status"] == "cancelada"


async def test_a_call_is_transferred_again_and_again(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia, gravar_audio=True)
    tones = [DORA, 2700, 3100]
    for turn, tone in enumerate(tones):
        perna = "destino" if turn % 2 == 0 else "origem"
        await api.ask("POST", f"/chamada/{id}/transfer", json={"numero": f"483283020{turn}", "perna": perna})
        new = await ana.incoming()
        await new.answer(Tone(tone))
        stays = a if perna == "destino" else b
        await stays.hears(tone)
        a, b = (a, new) if perna == "destino" else (new, b)
    await a.hangup()
    await b.ended(within=2)
    dados = await api.recorded(id)
    assert len(dados["pernas"]) == 5
    sidecar = api.server.recording(id)
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300


async def test_a_listener_stays_through_a_transfer(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia)
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": "4832830150", "modo": 2})
    listener = await ana.incoming()
    await listener.answer(Tone(1900))
    await a.hears(BIA, 1900)
    await api.ask("POST", f"/chamada/{id}/transfer", json={"numero": OUVINTE, "perna": "origem"})
    d = await ana.incoming()
    await d.answer(Tone(DORA))
    await listener.hears(DORA, BIA)
    await d.hears(BIA, 1900)
    await b.hears_not(1900, within=1)
    await api.ask("DELETE", f"/chamada/{id}")
    await listener.ended(within=3)
    await api.ended(id)
