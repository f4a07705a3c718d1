"""The story of real calls: the journal, who hung up, the sound of each leg, and the page that shows it."""

from typing import Any

import pytest

from tests.e2e.conftest import FIXO, MOVEL, Api
from tests.e2e.test_escuta import OUVINTE, talk
from tests.phone import Phone, Tone


async def story(api: Api, id: int) -> Any:
    return await api.ask("GET", f"/chamada/{id}/eventos")


@pytest.mark.parametrize("who", ["origem", "destino", "api"])
async def test_a_bad_line_shows_in_both_legs(api: Api, ana: Phone, trunks: tuple[int, int], who: str) -> None:
    """Bia loses a tenth of what she sends. Whoever hangs up, both legs are measured."""
    async with Phone("127.0.0.3", trunks[1], tone=1300, loss=0.1) as bia:
        id, a, b = await talk(api, ana, bia)
        await a.hears_not(2500, during=9)  # long enough for several reports of the loss
        if who == "api":
            await api.ask("DELETE", f"/chamada/{id}")
        else:
            await (a if who == "origem" else b).hangup()
        await a.ended(within=3)
        await b.ended(within=3)
        await api.ended(id)
    dados = await story(api, id)
    origem, destino = dados["pernas"]
    assert 5 <= destino["midia"]["perda_percentual"] <= 15
    assert origem["midia"]["perda_percentual"] <= 1
    for perna, call in ((origem, a), (destino, b)):
        midia = perna["midia"]
        assert abs(midia["pacotes_recebidos"] - call.stats.sent) <= 5
        assert abs(midia["pacotes_enviados"] - call.stats.received) <= 5
        assert 0 <= midia["jitter_ms"] < 20
        assert perna["quem_desligou"] == ("telefone" if perna["papel"] == who else "sistema")
    tipos = [evento["tipo"] for evento in dados["eventos"]]
    assert tipos.count("midia") == 2
    assert tipos[0] == "criada" and tipos[-1] == "fim"


async def test_a_short_call_says_nothing_of_the_sound(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.answer()
    await (await bia.incoming()).reject(486)
    await api.ended(id)
    dados = await story(api, id)
    assert [perna["midia"] for perna in dados["pernas"]] == [None, None]
    assert (dados["pernas"][1]["sip"], dados["pernas"][1]["motivo_desconexao"]) == (486, "17. ocupado")
    assert dados["pernas"][1]["quem_desligou"] == "telefone"


async def test_the_page_of_a_transferred_call(api: Api, ana: Phone, bia: Phone) -> None:
    id, a, b = await talk(api, ana, bia, gravar_audio=True)
    await api.ask("POST", f"/chamada/{id}/escuta", json={"numero": OUVINTE, "modo": 1})
    c = await ana.incoming()
    await c.answer(Tone(1900))
    await c.hears(700, 1300)
    await api.ask("POST", f"/chamada/{id}/transfer", json={"numero": "4832830150", "perna": "destino"})
    d = await ana.incoming()
    await d.ringing()
    await d.answer(Tone(2300))
    await a.hears(2300)
    await a.hangup()
    await d.ended(within=3)
    await api.recorded(id)
    answer = await api.http.get(f"/chamada/{id}/eventos", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    dados = await story(api, id)
    assert [perna["papel"] for perna in dados["pernas"]] == ["origem", "destino", "escuta", "transferencia"]
    assert "transferencia" in [evento["tipo"] for evento in dados["eventos"]]
    (gravacao,) = dados["gravacoes"]
    assert gravacao["url_gravacao"].replace("&", "&amp;") in answer.text
    for perna in dados["pernas"]:
        assert perna["numero"] in answer.text
    assert (await api.http.get(gravacao["url_gravacao"])).headers["content-type"] == "audio/mpeg"
