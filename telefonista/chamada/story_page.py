"""The story of a chamada as one page that a person reads: self-contained, without scripts, safe with hostile text."""

import hashlib
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from telefonista.chamada import story_words as words
from telefonista.chamada.markup import Markup, join, tag, trusted, void
from telefonista.chamada.story_ladder import ladder
from telefonista.chamada.story_told import Historia, elapsed_ms
from telefonista.chamada.view import recording_url
from telefonista.storage.tables import Gravacao, Perna

STYLE = (Path(__file__).parents[1] / "static" / "story.css").read_text("utf-8")
_STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'%3E"
    "%3Ctext y='.9em' font-size='90'%3E%E2%98%8E%3C/text%3E%3C/svg%3E"
)


def policy(base_url: str) -> str:
    """The Content-Security-Policy of the page: our own style, sound from where its links lead, and nothing else."""
    parts = urlsplit(base_url)
    return (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        f"media-src 'self' {parts.scheme}://{parts.netloc}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(historia: Historia, zone: ZoneInfo, base_url: str) -> str:
    """The whole document."""
    chamada = historia.vista.chamada
    title = f"Chamada {chamada.id}"
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} – telefonista"),
        void("link", rel="icon", href=trusted(_ICON)),
        tag("style", trusted(STYLE)),
    )
    body = tag(
        "main",
        _header(historia, title, zone),
        tag(
            "section",
            tag("h2", "No tempo"),
            tag(
                "div", ladder(historia, zone), class_="escada", tabindex=0, role="group", aria_label="Escada da chamada"
            ),
            _legend(),
            *(_player(gravacao, base_url) for gravacao in historia.vista.gravacoes),
        ),
        tag(
            "section",
            tag("h2", "Pernas"),
            tag("div", *(_perna(historia, p) for p in historia.vista.pernas), class_="cartoes"),
        ),
        tag("section", tag("h2", "Diário"), _journal(historia, zone)),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", body), lang="pt-BR") + "\n"


def _header(historia: Historia, title: str, zone: ZoneInfo) -> Markup:
    chamada, pernas = historia.vista.chamada, historia.vista.pernas
    price = sum((perna.preco for perna in pernas), Decimal(0))
    end = chamada.encerrada_em
    talked = words.duration((end - chamada.conversa_em).total_seconds()) if end and chamada.conversa_em else "—"
    facts = [
        ("Criada", words.long_date(chamada.data_criacao, zone)),
        ("Conversa", talked),
        ("Preço", words.money(price)),
        *([("Tags", tag("bdi", chamada.tags))] if chamada.tags else []),
        *([("Nota", f"{'★' * chamada.nota}{'☆' * (5 - chamada.nota)}")] if chamada.nota else []),
        *([("Comentário", tag("bdi", chamada.comentario))] if chamada.comentario else []),
    ]
    return tag(
        "header",
        tag("h1", title),
        tag("p", words.outcome(chamada), class_=f"desfecho {chamada.status_geral}"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
    )


def _legend() -> Markup:
    names = [("discando", "ligando"), ("tocando", "tocando"), ("atendida", "na linha"), ("conversa", "em conversa")]
    items = [tag("li", tag("i", class_=f"amostra {kind}"), name) for kind, name in [*names, ("gravada", "gravando")]]
    return tag("ul", *items, class_="legenda")


def _player(gravacao: Gravacao, base_url: str) -> Markup:
    name = "Gravação da conversa" if gravacao.tipo == "completa" else f"Gravação parcial {gravacao.id}"
    url = recording_url(gravacao, base_url)
    if url is None:
        return tag("p", f"{name}: {words.recording_state(gravacao.estado)}.", class_="gravacao")
    caption = f"{name} ({words.duration((gravacao.medido_ms or 0) / 1000)}) — origem à esquerda, destino à direita"
    sound = tag("audio", controls=True, preload="none", src=url)
    return tag("figure", tag("figcaption", caption), sound, class_="gravacao")


def _perna(historia: Historia, perna: Perna) -> Markup:
    end = historia.last(perna.letra, "desligada")
    spoken = words.duration(perna.duracao_falada_segundos) if perna.atendida_em else "—"
    facts = [
        ("Fim", "—" if end is None else words.ending(perna, end)),
        ("Falou", spoken),
        ("Cobrado", words.duration(perna.duracao_cobrada_segundos)),
        ("Preço", words.money(perna.preco)),
        ("Som", words.sound(historia.last(perna.letra, "midia"))),
        *([("Bina", tag("bdi", perna.bina))] if perna.bina else []),
    ]
    papel = tag("span", words.PAPEIS.get(perna.papel, perna.papel), class_=f"papel {perna.papel}")
    substatus = f", {perna.substatus.replace('_', ' ')}" if perna.substatus else ""
    return tag(
        "article",
        tag("h3", papel, " ", tag("bdi", perna.numero)),
        tag("p", perna.status, substatus, class_="status"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
    )


def _journal(historia: Historia, zone: ZoneInfo) -> Markup:
    rows = []
    for evento in historia.eventos:
        perna = historia.perna(evento.perna)
        who = "" if perna is None else join([words.PAPEIS.get(perna.papel, perna.papel), " ", tag("bdi", perna.numero)])
        since = f"+{elapsed_ms(historia, evento.momento) / 1000:.1f} s".replace(".", ",")
        rows.append(
            tag(
                "tr",
                tag("td", tag("time", words.clock(evento.momento, zone)), tag("small", since)),
                tag("td", who),
                tag("td", words.what_happened(historia, evento, zone)),
            )
        )
    head = tag("thead", tag("tr", tag("th", "Hora"), tag("th", "Perna"), tag("th", "O que aconteceu")))
    return tag("table", head, tag("tbody", *rows))
