"""GET /chamada/{id}/eventos: the journal as data and as a page, of calls made on the fake engine."""

import asyncio
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.chamada.story import EventoObjeto, GravacaoNaHistoria, HistoriaObjeto, MidiaObjeto, PernaNaHistoria
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import Media
from telefonista.storage.tables import Chamada, Perna
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import add_gravacao

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000001"
HTML = {"formato": "html"}
ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-03:00")


async def finished(client: httpx2.AsyncClient, house: House, **pedido: Any) -> int:
    """Place a call and wait for its end."""
    ended = asyncio.Event()
    house.runner.on_finished = lambda chamada_id: ended.set()
    answer = await client.post("/chamada", json={"numero_origem": A, "numero_destino": B, **pedido})
    async with asyncio.timeout(10):
        await ended.wait()
    return int(answer.json()["dados"]["id"])


@pytest.fixture
async def talked(client: httpx2.AsyncClient, house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> int:
    """A conversation that destino ends, on a line that loses what destino says."""
    heard_anew = fake.heard_anew

    def measure() -> None:
        for leg in fake.legs.values():
            leg.media = Media(500, 450, 50, 12.34, 31.96) if leg.id.endswith("-b") else Media(450, 500, 0, 0.4)
        heard_anew()

    monkeypatch.setattr(fake, "heard_anew", measure)
    fake.behaviour(A, ring=0.0, answer=0.01)
    fake.behaviour(B, ring=0.0, answer=0.01, hang_up=0.05)
    return await finished(client, house)


async def test_the_journal_and_the_legs(client: httpx2.AsyncClient, talked: int, done: Done) -> None:
    dados = done(await client.get(f"/chamada/{talked}/eventos"), "dados retornados com sucesso")
    assert (dados["id"], dados["status_geral"], dados["desfecho"]) == (talked, "finalizada", "destino desligou")
    told = [(evento["tipo"], evento["perna"]) for evento in dados["eventos"]]
    assert told[0] == ("criada", None) and told[-1] == ("fim", None)
    for letra in "ab":
        assert [tipo for tipo, perna in told if perna == letra] == [
            *("discada", "chamando", "atendida", "midia", "desligada")
        ]
    assert told.index(("atendida", "a")) < told.index(("discada", "b"))
    assert told.index(("atendida", "b")) <= told.index(("conversa", None))
    since = [evento["decorrido_ms"] for evento in dados["eventos"]]
    assert since == sorted(since) and since[0] == 0
    assert all(ZONED.fullmatch(evento["momento"]) for evento in dados["eventos"])
    atendida = next(evento for evento in dados["eventos"] if evento["tipo"] == "atendida" and evento["perna"] == "b")
    assert (atendida["papel"], atendida["numero"], atendida["dados"]) == ("destino", B, {})
    ends = {evento["perna"]: evento["dados"] for evento in dados["eventos"] if evento["tipo"] == "desligada"}
    assert ends["b"] == {"causa": 16, "sip": None, "motivo_desconexao": "16. normal", "quem_desligou": "telefone"}
    assert ends["a"]["quem_desligou"] == "sistema"
    origem, destino = dados["pernas"]
    assert (origem["perna"], origem["quem_desligou"], destino["quem_desligou"]) == ("a", "sistema", "telefone")
    assert destino["midia"] == {
        "pacotes_enviados": 500,
        "pacotes_recebidos": 450,
        "perdidos": 50,
        "perda_percentual": 10.0,
        "jitter_ms": 12.3,
        "rtt_ms": 32.0,
    }
    assert (origem["midia"]["perda_percentual"], origem["midia"]["rtt_ms"]) == (0.0, None)
    assert all(ZONED.fullmatch(destino[f"data_{name}"]) for name in ("inicio", "toque", "atendimento", "fim"))
    assert "leg" not in str(dados["eventos"]), "names of the engine are nobody's business"


async def test_it_is_documented_as_it_is_answered(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, talked: int, done: Done
) -> None:
    await add_gravacao(house, conta.id, talked, b"mp3")
    dados = done(await client.get(f"/chamada/{talked}/eventos"))
    for model, item in (
        (HistoriaObjeto, dados),
        (EventoObjeto, dados["eventos"][0]),
        (PernaNaHistoria, dados["pernas"][0]),
        (MidiaObjeto, dados["pernas"][0]["midia"]),
        (GravacaoNaHistoria, dados["gravacoes"][0]),
    ):
        assert list(model.model_fields) == list(item)
    HistoriaObjeto.model_validate(dados)


async def test_busy(client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done) -> None:
    fake.behaviour(A, ring=0.0, answer=0.01)
    fake.behaviour(B, refuse=486, refuse_at=0.01)
    id = await finished(client, house)
    dados = done(await client.get(f"/chamada/{id}/eventos"))
    destino = dados["pernas"][1]
    assert (destino["sip"], destino["causa"], destino["motivo_desconexao"]) == (486, 17, "17. ocupado")
    assert (destino["quem_desligou"], destino["midia"], destino["data_atendimento"]) == ("telefone", None, None)
    page = (await client.get(f"/chamada/{id}/eventos", params=HTML)).text
    assert "O telefone chamado estava ocupado." in page and "Recusou — 17. ocupado (SIP 486)" in page


async def test_one_that_waits_for_its_time(client: httpx2.AsyncClient, done: Done) -> None:
    pedido = {"numero_origem": A, "numero_destino": B, "data_criacao": "2999-01-01T00:00:00Z"}
    id = done(await client.post("/chamada", json=pedido))["id"]
    dados = done(await client.get(f"/chamada/{id}/eventos"))
    assert [evento["tipo"] for evento in dados["eventos"]] == ["criada"]
    assert (dados["desfecho"], dados["data_fim"]) == (None, None)
    page = await client.get(f"/chamada/{id}/eventos", params=HTML)
    assert page.status_code == 200 and "Ainda não foi discada." in page.text


async def test_who_may_read_it(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, talked: int, refused: Refused
) -> None:
    for query in ({}, HTML):
        refused(await stranger.get(f"/chamada/{talked}/eventos", params=query), 404, 60)
        refused(await client.get("/chamada/999999/eventos", params=query), 404, 60)
        without = await client.get(f"/chamada/{talked}/eventos", params=query, headers={"Access-Token": ""})
        refused(without, 403, 40)
    refused(await client.get(f"/chamada/{talked}/eventos?formato=pdf"), 405, 11, "formato", "informe json ou html")


# -- the page -------------------------------------------------------------------------------------------------------

VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """Every element and text, and that each element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "application/json"),
        ("", "application/json", "application/json"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("formato=json", "text/html", "application/json"),
        ("formato=HTML", "application/json", "text/html"),
        ("Formato=html", "*/*", "text/html"),
    ],
)
async def test_page_or_data(client: httpx2.AsyncClient, talked: int, query: str, accept: str, kind: str) -> None:
    answer = await client.get(f"/chamada/{talked}/eventos?{query}", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")


async def test_the_page_stands_alone(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, talked: int
) -> None:
    await add_gravacao(house, conta.id, talked, b"mp3", medido_ms=83_000)
    answer = await client.get(f"/chamada/{talked}/eventos", params=HTML | {"access_token": conta.token}, headers={})
    page = Page(answer.text)
    assert answer.text.startswith('<!doctype html>\n<html lang="pt-BR">')
    assert page.named("script") == [] and not any(name.startswith("on") for _, has in page.elements for name in has)
    (audio,) = page.named("audio")
    link = (await client.get(f"/chamada/{talked}")).json()["dados"]["url_gravacao"]
    assert audio == {"controls": None, "preload": "none", "src": link}
    linked = [value for _, has in page.elements for name, value in has.items() if name in ("href", "src")]
    assert [value for value in linked if not (value or "").startswith("data:")] == [link]
    assert conta.token not in answer.text
    (svg,) = page.named("svg")
    assert svg["role"] == "img"
    words = " ".join(page.texts)
    for text in (
        "O destino desligou.",
        A,
        B,
        "R$ 0,24",
        "10,0 % perdido, jitter 12,3 ms, ida e volta 32,0 ms",
        "1 min 23 s",
    ):
        assert text in words, text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    assert f"media-src 'self' {house.settings.base_url};" in policy
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["cache-control"] == "no-store"
    assert not re.search(r"url\(|@import", answer.text)


HOSTILE = """</td></svg><script>alert(1)</script>" onload="x' &lt;b&gt; \u202e"""


async def test_hostile_text_is_only_text(client: httpx2.AsyncClient, house: House, talked: int) -> None:
    def spoil(session: Session) -> None:
        session.execute(update(Chamada).values(tags=HOSTILE, comentario=HOSTILE, nota=3, desfecho=HOSTILE[:40]))
        session.execute(update(Perna).values(numero=HOSTILE[:40], bina=HOSTILE[:40], substatus="<i>x</i>"))

    before = Page((await client.get(f"/chamada/{talked}/eventos", params=HTML)).text)
    await house.storage.write(spoil)
    page = Page((await client.get(f"/chamada/{talked}/eventos", params=HTML)).text)
    assert page.named("script") == [] and page.named("i") == before.named("i")
    assert not any(name.startswith("on") for _, has in page.elements for name in has)
    assert HOSTILE in page.texts
