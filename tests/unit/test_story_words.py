"""The story in sentences, and the ladder that shows it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from telefonista.chamada import story_words as words
from telefonista.chamada.queries import Vista
from telefonista.chamada.story_ladder import COLUMN, FITS, LEFT, ladder
from telefonista.chamada.story_page import page
from telefonista.chamada.story_told import Historia
from telefonista.storage.tables import Chamada, Evento, Gravacao, Perna

ZONE = ZoneInfo("America/Sao_Paulo")
NOON = datetime(2018, 8, 2, 15, tzinfo=UTC)


def perna(letra: str, papel: str, numero: str, **fields: Any) -> Perna:
    made = {"status": "atendida", "atendida_em": NOON, "duracao_falada_segundos": 0, "duracao_cobrada_segundos": 0}
    return Perna(letra=letra, papel=papel, numero=numero, preco=Decimal("0.12"), **made | fields)


def historia(
    eventos: Sequence[tuple[float, str, str | None, dict[str, Any]]], *pernas: Perna, **fields: Any
) -> Historia:
    """Seconds after noon, tipo, perna and dados of each event."""
    made: dict[str, Any] = {"id": 7, "data_criacao": NOON, "status_geral": "finalizada", "desfecho": "origem desligou"}
    chamada = Chamada(**made | fields)
    journal = [Evento(momento=NOON + timedelta(seconds=at), tipo=t, perna=p, dados=d) for at, t, p, d in eventos]
    gravacao = Gravacao(id=3, conta_id=1, tipo="completa", estado="pronta", segredo="s", medido_ms=61_000)
    return Historia(Vista(chamada, pernas, [gravacao]), journal)


def both() -> tuple[Perna, Perna]:
    return perna("a", "origem", "4832830151"), perna("b", "destino", "48999990000")


TALK: list[tuple[float, str, str | None, dict[str, Any]]] = [
    (0, "criada", None, {}),
    (0.1, "discada", "a", {"leg": "7-a"}),
    (0.2, "chamando", "a", {}),
    (3, "atendida", "a", {"leg": "7-a"}),
    (3.1, "discada", "b", {"leg": "7-b"}),
    (9, "atendida", "b", {"leg": "7-b"}),
    (9, "conversa", None, {}),
    (9, "gravando", None, {"gravacao": 3, "parte": 1}),
]


@pytest.mark.parametrize(
    ("dados", "answered", "text"),
    [
        ({"por": "far", "causa": 16}, True, "Desligou — 16. normal"),
        ({"por": "far", "causa": 17, "sip": 486}, False, "Recusou — 17. ocupado (SIP 486)"),
        ({"por": "far", "causa": 19, "sip": 480}, False, "Não atendeu — 19. sem resposta - mas chamou (SIP 480)"),
        ({"por": "us", "causa": 16}, True, "Desligada pelo sistema — 16. normal"),
        ({"por": "limit", "causa": 16}, True, "Desligada: acabou o tempo — 16. normal"),
        ({"por": "engine", "causa": 44}, True, "Caiu — 44. canal requisitado não está disponível"),
        ({"por": "us", "causa": 16, "transferida": True}, True, "Passou a outra chamada"),
        ({}, True, "Caiu — indefinido"),
    ],
)
def test_how_a_leg_ended(dados: dict[str, Any], answered: bool, text: str) -> None:
    assert words.ending(perna("a", "origem", "1", atendida_em=NOON if answered else None), dados) == text


@pytest.mark.parametrize(
    ("status", "desfecho", "text"),
    [
        ("criada", None, "Ainda não foi discada."),
        ("curso", None, "Em andamento."),
        ("finalizada", "ocupado", "O telefone chamado estava ocupado."),
        ("finalizada", "algo novo", "Algo novo."),
        ("finalizada", None, "Sem desfecho conhecido."),
    ],
)
def test_the_outcome(status: str, desfecho: str | None, text: str) -> None:
    assert words.outcome(Chamada(status_geral=status, desfecho=desfecho)) == text


def test_every_kind_of_event_has_words() -> None:
    told = historia(
        [
            (0, "criada", None, {"agendada_para": "2018-08-02T18:00:00+00:00"}),
            (1, "colocada", None, {}),
            (2, "nao_colocada", None, {"motivo": "sem saldo"}),
            (3, "transferencia", None, {"sai": "destino", "entra": "b"}),
            (4, "gravando", None, {"parte": 2}),
            (5, "midia", "a", {"perda_percentual": 1.25, "jitter_ms": 3.0, "rtt_ms": None}),
            (6, "coisa_nova", None, {"x": 1}),
            (7, "fim", None, {"desfecho": "origem desligou"}),
        ],
        *both(),
    )
    assert [words.what_happened(told, evento, ZONE) for evento in told.eventos] == [
        "Chamada criada, para quinta-feira, 2 de agosto de 2018, 15:00:00",
        "Chegou a hora agendada",
        "Não pôde ser feita: sem saldo",
        "Transferência: sai destino, entra 48999990000",
        "Gravando (trecho 2)",
        "Som: 1,2 % perdido, jitter 3,0 ms",
        "Coisa nova",
        "Fim: A origem desligou.",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "R$ 0,00"),
        ("0.12", "R$ 0,12"),
        ("0.120000", "R$ 0,12"),
        ("0.1852", "R$ 0,1852"),
        ("100", "R$ 100,00"),
        ("1234567.5", "R$ 1.234.567,50"),
    ],
)
def test_money(value: str, text: str) -> None:
    assert words.money(Decimal(value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (83, "1 min 23 s"), (3600, "1 h 00 min"), (7380, "2 h 03 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


# -- the ladder -----------------------------------------------------------------------------------------------------


def rects(svg: str, kind: str) -> list[tuple[float, float, float, float]]:
    """x, y, width, height of the boxes of a class."""
    found = re.findall(r"<rect ([^>]*)>", svg)
    boxes = [dict(re.findall(r'([\w-]+)="([^"]*)"', text)) for text in found]
    return [
        (float(box["x"]), float(box["y"]), float(box["width"]), float(box["height"]))
        for box in boxes
        if box["class"] == kind
    ]


def test_the_legs_and_their_states() -> None:
    end = [(40.0, "desligada", "a", {"por": "far", "causa": 16}), (40.1, "desligada", "b", {"por": "us", "causa": 16})]
    svg = ladder(historia([*TALK, *end, (40.2, "fim", None, {})], *both()), ZONE)
    assert len(rects(svg, "estado discando")) == 2
    ((_, ringing, _, rang),) = rects(svg, "estado tocando")
    up_a, up_b = sorted(rects(svg, "estado atendida"))
    assert ringing + rang == pytest.approx(up_a[1]), "one state begins where the last one ends"
    ((left, since, width, height),) = rects(svg, "faixa-conversa")
    assert (left, width) == (LEFT + COLUMN / 2, 2 * COLUMN), "from origem to destino"
    assert since + height == pytest.approx(up_a[1] + up_a[3]), "until the first one leaves"
    assert len(rects(svg, "gravada")) == 1
    assert up_b[0] > up_a[0]
    assert re.search(r'class="cabe"', svg) and "31 s" in svg, "the gap is told"
    assert "12:00:09" in svg, "in the conta's zone"


def test_time_that_is_long_takes_little_more_room() -> None:
    def height(seconds: float) -> float:
        svg = ladder(historia([(0, "criada", None, {}), (seconds, "fim", None, {})], *both()), ZONE)
        found = re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)
        assert found is not None
        return float(found[1])

    assert height(1) < height(10) < height(60) <= height(36_000) <= height(1) + 60


def test_a_transfer_moves_the_conversation() -> None:
    newcomer, listener = perna("c", "escuta", "1001"), perna("d", "transferencia", "1002", substitui="b")
    more = [
        (20.0, "discada", "c", {}),
        (21.0, "atendida", "c", {}),
        (30.0, "transferencia", None, {"sai": "destino", "entra": "d"}),
        (31.0, "discada", "d", {}),
        (31.0, "desligada", "b", {"por": "us", "causa": 16}),
        (35.0, "atendida", "d", {}),
        (35.0, "conversa", None, {}),
        (50.0, "desligada", "a", {"por": "far", "causa": 16}),
    ]
    svg = ladder(historia([*TALK, *more], *both(), newcomer, listener), ZONE)
    first, second = rects(svg, "faixa-conversa")
    assert (first[2], second[2]) == (2 * COLUMN, 4 * COLUMN)
    assert second[1] > first[1] + first[3]
    assert 'class="cabe"' not in svg
    assert LEFT + 5 * COLUMN > FITS


@pytest.mark.parametrize(
    "eventos",
    [
        [],
        TALK,
        [(0, "conversa", None, {})],
        [(0, "transferencia", None, {"sai": "destino", "entra": "z"}), (1, "conversa", None, {})],
        [
            (0, "transferencia", None, {}),
            (0, "desligada", "z", {}),
            (1, "novidade", "a", {}),
            (1, "novidade", None, {}),
        ],
        [(0, "desligada", "a", {}), (0, "midia", "a", {"perda_percentual": 0, "jitter_ms": 0})],
    ],
)
@pytest.mark.parametrize("pernas", [0, 1, 2])
def test_whatever_the_journal_says_there_is_a_page(eventos: Any, pernas: int) -> None:
    text = page(historia(eventos, *both()[:pernas]), ZONE, "http://127.0.0.1:8080")
    assert text.count("<svg") == text.count("</svg>") == 1
    assert "nan" not in text
