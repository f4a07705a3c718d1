"""The ladder of a chamada: time goes down, every leg is a line, what happens goes between it and us. An SVG, no script.

Colours are classes of static/story.css. Time is not to scale: a minute of talk takes little more room than a second of
ringing, and every gap says how long it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import log1p
from zoneinfo import ZoneInfo

from telefonista.chamada.markup import Markup, join, tag
from telefonista.chamada.story_told import Historia
from telefonista.chamada.story_words import PAPEIS, clock, duration, short_ending
from telefonista.storage.tables import Evento, Perna

LEFT, COLUMN, TOP, STEP = 68, 116, 62, 30
FITS = 440  # wider pictures are scrolled on a small screen, others shrink a little
_HOUSE = 1  # our own column, between origem and destino
_GAP_SECONDS = 1.5  # a silence that is worth telling
_ARROWS = {"discada": "liga", "recebida": "liga", "chamando": "toca", "atendida": "atende"}
_NOTES = {
    "criada": "criada",
    "colocada": "hora marcada",
    "nao_colocada": "não colocada",
    "conversa": "conversa",
    "gravando": "● gravando",
    "gravacao pausada": "gravação em pausa",
    "gravacao encerrada": "fim da gravação",
    "fim": "fim",
}
_STATES = {"discada": "discando", "recebida": "discando", "chamando": "tocando", "atendida": "atendida"}


@dataclass
class _Drawing:
    """What was drawn so far, back to front, and what is still open."""

    bands: list[Markup] = field(default_factory=list)
    lines: list[Markup] = field(default_factory=list)
    marks: list[Markup] = field(default_factory=list)
    states: dict[str, tuple[str, float]] = field(default_factory=dict)  # of each leg, and since which height
    talking: tuple[str, str, float] | None = None  # the two legs that hear each other, and since which height
    recording: float | None = None


def ladder(historia: Historia, zone: ZoneInfo) -> Markup:
    """The whole picture."""
    columns = _columns(historia.vista.pernas)
    width = LEFT + COLUMN * (max([_HOUSE + 1, *columns.values()]) + 1) + 4
    drawing, height = _Drawing(), float(TOP)
    parties = {"origem": _first(historia, "origem"), "destino": _first(historia, "destino")}
    for evento, gap in _told(historia):
        room = STEP if gap is None else STEP + min(60.0, 16 * log1p(gap))
        if gap is not None and gap >= _GAP_SECONDS:
            drawing.marks.append(_text(LEFT - 10, height + room / 2, f"{duration(gap)}", "intervalo"))
        height += room
        drawing.marks.append(_text(LEFT - 10, height + 4, clock(evento.momento, zone)[:8], "hora"))
        _take(drawing, historia, evento, columns, parties, height)
    bottom = height + 26
    for letra in list(drawing.states):
        _close_state(drawing, letra, columns, bottom)
    _end_talk(drawing, columns, bottom)
    _end_recording(drawing, bottom)
    lifelines = [
        tag("line", x1=_x(place), y1=TOP - 4, x2=_x(place), y2=bottom, class_="vida")
        for place in [_HOUSE, *columns.values()]
    ]
    heads = [_head(_HOUSE, "telefonista", "nós", "casa")]
    heads += [_head(columns[p.letra], p.numero, PAPEIS.get(p.papel, p.papel), p.papel) for p in historia.vista.pernas]
    return tag(
        "svg",
        tag("title", f"A chamada {historia.vista.chamada.id} no tempo, perna por perna"),
        *drawing.bands,
        *lifelines,
        *drawing.lines,
        *drawing.marks,
        *heads,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {bottom + 8:g}",
        width=f"{width:g}",
        role="img",
        class_="cabe" if width <= FITS else None,
    )


def _columns(pernas: Sequence[Perna]) -> dict[str, int]:
    """The place of each leg: origem left of us, destino and everybody else to the right."""
    places: dict[str, int] = {}
    free = _HOUSE + 1
    for perna in pernas:
        if perna.papel == "origem" and 0 not in places.values():
            places[perna.letra] = 0
        else:
            places[perna.letra], free = free, free + 1
    return places


def _told(historia: Historia) -> Iterator[tuple[Evento, float | None]]:
    """What is drawn, with the seconds since what was drawn before."""
    before = None
    for evento in historia.eventos:
        if evento.tipo == "midia":
            continue
        yield evento, None if before is None else (evento.momento - before).total_seconds()
        before = evento.momento


def _take(
    drawing: _Drawing,
    historia: Historia,
    evento: Evento,
    columns: dict[str, int],
    parties: dict[str, str | None],
    y: float,
) -> None:
    letra = evento.perna
    if letra is not None and letra in columns:
        _arrow(drawing, historia, evento, columns[letra], y)
        _close_state(drawing, letra, columns, y)
        if evento.tipo in _STATES:
            drawing.states[letra] = _STATES[evento.tipo], y
        if evento.tipo == "desligada" and drawing.talking is not None and letra in drawing.talking[:2]:
            _end_talk(drawing, columns, y)
        return
    if evento.tipo == "conversa":
        a, b = parties["origem"], parties["destino"]
        if a in columns and b in columns and a is not None and b is not None:
            _end_talk(drawing, columns, y)
            drawing.talking = a, b, y
    elif evento.tipo == "transferencia":
        _end_talk(drawing, columns, y)
        parties[evento.dados.get("sai", "")] = evento.dados.get("entra")
    elif evento.tipo == "gravando" and drawing.recording is None:
        drawing.recording = y
    elif evento.tipo in ("gravacao pausada", "gravacao encerrada", "fim"):
        _end_recording(drawing, y)
    text = _NOTES.get(evento.tipo, evento.tipo.replace("_", " "))
    if evento.tipo == "transferencia":
        text = f"sai {evento.dados.get('sai', '?')}"
    drawing.marks += _note(text, y, evento.tipo.partition(" ")[0])


def _arrow(drawing: _Drawing, historia: Historia, evento: Evento, place: int, y: float) -> None:
    """A message between us and a telephone; its head shows who sent it."""
    if evento.tipo == "desligada":
        text = short_ending(historia.perna(evento.perna), evento.dados)
        kind, ours = "fim", evento.dados.get("por") != "far"
    else:
        text, ours = _ARROWS.get(evento.tipo, evento.tipo.replace("_", " ")), evento.tipo == "discada"
        kind = evento.tipo
    here, there = _x(_HOUSE), _x(place)
    side = 1 if there > here else -1
    start, end = (here + 5 * side, there - 7 * side) if ours else (there - 7 * side, here + 5 * side)
    tip = 6 if end > start else -6
    drawing.lines.append(tag("line", x1=start, y1=y, x2=end - tip, y2=y, class_=f"seta {kind}"))
    points = f"{end:g},{y:g} {end - 1.6 * tip:g},{y - 4:g} {end - 1.6 * tip:g},{y + 4:g}"
    drawing.lines.append(tag("polygon", points=points, class_=f"ponta {kind}"))
    drawing.marks.append(_text(there - side * COLUMN / 2, y - 5, text, f"dito {kind}"))


def _close_state(drawing: _Drawing, letra: str, columns: dict[str, int], y: float) -> None:
    if letra in drawing.states:
        state, since = drawing.states.pop(letra)
        x = _x(columns[letra])
        drawing.lines.append(tag("rect", x=x - 4, y=since, width=8, height=y - since, rx=3, class_=f"estado {state}"))


def _end_talk(drawing: _Drawing, columns: dict[str, int], y: float) -> None:
    if drawing.talking is not None:
        a, b, since = drawing.talking
        left, right = sorted((_x(columns[a]), _x(columns[b])))
        drawing.bands.append(
            tag("rect", x=left, y=since, width=right - left, height=y - since, class_="faixa-conversa")
        )
        drawing.talking = None


def _end_recording(drawing: _Drawing, y: float) -> None:
    if drawing.recording is not None:
        since = drawing.recording
        drawing.lines.append(
            tag("rect", x=_x(_HOUSE) - 2.5, y=since, width=5, height=y - since, rx=2, class_="gravada")
        )
        drawing.recording = None


def _note(text: str, y: float, kind: str) -> list[Markup]:
    """Something that is of the whole call, on our own line."""
    width = 7.2 * len(text) + 16
    x = _x(_HOUSE)
    box = tag("rect", x=x - width / 2, y=y - 11, width=width, height=21, rx=10, class_=f"nota {kind}")
    return [box, _text(x, y + 4, text, f"escrita {kind}")]


def _head(place: int, name: str, papel: str, kind: str) -> Markup:
    shown = name if len(name) <= 14 else f"{name[:13]}…"
    return join([_text(_x(place), 22, papel, f"papel {kind}"), _text(_x(place), 42, shown, "numero")])


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return tag("text", text, x=x, y=y, class_=kind)


def _x(place: int) -> float:
    return LEFT + COLUMN * (place + 0.5)


def _first(historia: Historia, papel: str) -> str | None:
    return next((perna.letra for perna in historia.vista.pernas if perna.papel == papel), None)
