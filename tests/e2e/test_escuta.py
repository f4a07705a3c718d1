"""Listening in, in its three modes: who hears whom, and what the recording holds."""

import pytest

from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api
from tests.phone import Phone, Tone
from tests.phone.call import Call

OUVINTE = "4832830199"
ANA, BIA, CAIO = 700, 1300, 1900


async def talk(api: Api, ana: Phone, bia: Phone, **options: object) -> tuple[int, Call, Call]:
    """Two parties in conversation."""
    id = await api.call(FIXO, MOVEL, **options)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(BIA)
    await b.hears(ANA)
    return id, a, b


MATRIX = {  # modo: what (a, b, the listener) hear, and what they do not
    1: (((BIA,), (CAIO,)), ((ANA,), (CAIO,)), ((ANA, BIA), ())),
    2: (((BIA, CAIO), ()), ((ANA,), (CAIO,)), ((ANA, BIA), ())),
    3: (((BIA, CAIO), ()), ((ANA, CAIO), ()), ((ANA, BIA), ())),
}


@pytest.mark.parametrize("modo", [1, 2, 3])
async def test_who_hears_whom(api: Api, ana: Phone, bia: Phone, modo: int) -> None:
    id, a, b = await talk(api, ana, bia, gravar_audio=True)
    answer = await api.http.post(f"/chamada/{id}/escuta", json={"numero": OUVINTE, "modo": str(modo)})
    assert answer.json()["mensagem"] == "escuta criada com sucesso"
    c = await ana.incoming()
    assert c.to_number == OUVINTE
    await c.answer(Tone(CAIO))
    for call, (present, absent) in zip((a, b, c), MATRIX[modo], strict=True):
        await call.hears(*present)
        for tone in absent:
            await call.hears_not(tone, within=1)
    await c.hears(ANA, BIA)
    await b.hangup()
    await c.ended(within=3)  # the call's end ends the listener
    dados = await api.recorded(id)
    escuta = dados["pernas"][2]
    assert (escuta["papel"], escuta["numero"], escuta["status"]) == ("escuta", OUVINTE, "atendida")
    assert escuta["preco"] == 0.12
    left, right, rate = sides((await api.http.get(f"/chamada/{id}/gravacao")).content)
    hears(left, rate, ANA, absent=(BIA,) if modo == 3 else (BIA, CAIO))
    hears(right, rate, BIA, absent=(ANA, CAIO))
    assert dados["origem"]["motivo_desconexao"] == "16. normal"


async def test_listeners_come_and_go(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia)
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": OUVINTE, "modo": 1})
    first = await ana.incoming()
    await first.answer(Tone(CAIO))
    await api.ask("GET", f"/chamada/{id}/escuta", params={"numero": "4832830198", "modo": 2})
    second = await ana.incoming()
    await second.answer(Tone(2500))
    await first.hears(ANA, BIA)
    await second.hears(ANA, BIA)
    await a.hears(BIA, 2500)
    await b.hears_not(2500, within=1)
    await first.hangup()
    await a.hears(BIA, 2500)
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": "48 3283-0198", "modo": 3})
    await b.hears(ANA, 2500)  # the same numero: another mode, no other call
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": "4832830198", "modo": 1})
    await a.hears_not(2500, within=2)
    await b.hears_not(2500, within=1)
    await second.hears(ANA, BIA)
    await second.hangup()
    await a.hears(BIA)
    await b.hears(ANA)
    await api.ask("DELETE", f"/chamada/{id}")
    assert [perna["papel"] for perna in (await api.ended(id))["pernas"]] == ["origem", "destino", "escuta", "escuta"]


async def test_a_busy_listener_disturbs_nobody(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia)
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": OUVINTE, "modo": 1})
    await (await ana.incoming()).reject(486)
    await a.hears(BIA)
    await b.hangup()
    dados = await api.ended(id)
    assert (dados["pernas"][2]["status"], dados["pernas"][2]["preco"]) == ("ocupado", 0)


@pytest.mark.parametrize(
    ("corpo", "motivo"),
    [
        ({"modo": 1}, 10),
        ({"numero": OUVINTE}, 10),
        ({"numero": OUVINTE, "modo": 4}, 11),
        ({"numero": "x", "modo": 1}, 11),
    ],
)
async def test_bad_wishes_are_refused(api: Api, ana: Phone, bia: Phone, corpo: dict[str, object], motivo: int) -> None:
    id, _, b = await talk(api, ana, bia)
    answer = await api.http.post(f"/chamada/{id}/escuta", json=corpo)
    assert (answer.status_code, answer.json()["motivo"]) == (405, motivo)
    await b.hangup()
    await api.ended(id)
    answer = await api.http.post(f"/chamada/{id}/escuta", json={"numero": OUVINTE, "modo": 1})
    assert (answer.status_code, answer.json()["motivo"]) == (405, 80)
