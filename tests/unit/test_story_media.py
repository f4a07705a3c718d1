"""The sound of a leg: read from the engine's last event, written into the journal beside the leg's end."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from telefonista.calling.journal import Journal
from telefonista.engine.asterisk.quality import media_of
from telefonista.engine.port import By, HungUp, Leg, Media
from telefonista.storage.session import Storage
from tests.rows import Books

pytest_plugins = ["tests.databases", "tests.rows"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

# As the engine sent it (22.10.1).
TOLD = (
    "ssrc=1197027883;themssrc=2085656427;lp=54;rxjitter=0.000000;rxcount=560;txjitter=0.000375;txcount=628;rlp=0;"
    "rtt=0.021500;rxmes=0.000000;txmes=40.257336"
)


def event(told: str | None) -> dict[str, Any]:
    return {"channel": {"id": "1-a"} | ({} if told is None else {"channelvars": {"RTPAUDIOQOS": told}})}


def test_what_the_engine_tells() -> None:
    assert media_of(event(TOLD)) == Media(sent=628, received=560, lost=54, jitter_ms=0.375, rtt_ms=21.5)
    without_rtcp = media_of(event(TOLD.replace("rtt=0.021500", "rtt=0.000000")))
    assert without_rtcp is not None and without_rtcp.rtt_ms is None


@pytest.mark.parametrize("told", [None, "", "lp=1", "lp=x;rxcount=1;txcount=1;txjitter=0", ";;=;"])
def test_an_engine_that_tells_nothing(told: str | None) -> None:
    assert media_of(event(told)) is None


class Kept:
    """A storage that keeps what is queued."""

    def __init__(self) -> None:
        self.units: list[tuple[Any, ...]] = []

    def queue(self, *unit: Any) -> None:
        self.units.append(unit)


def midia_of(media: Media | None) -> Any:
    """What the journal queues with a leg's end."""
    kept = Kept()
    perna = SimpleNamespace(letra="a")
    hangup = HungUp(cast(Leg, SimpleNamespace(id="1-a")), 16, None, By.FAR, NOW, media)
    Journal(cast(Storage, kept), 1).ended(cast(Any, perna), hangup)
    ((_, _, fact, _, midia),) = kept.units
    assert fact.tipo == "desligada"
    return midia


def test_little_sound_says_nothing() -> None:
    assert midia_of(None) is None
    assert midia_of(Media(99, 99, 0, 1.0)) is None
    assert midia_of(Media(0, 0, 200, 1.0)) is None


def test_what_the_journal_keeps() -> None:
    assert midia_of(Media(628, 560, 54, 0.375, 21.46)) == {
        "pacotes_enviados": 628,
        "pacotes_recebidos": 560,
        "perdidos": 54,
        "perda_percentual": 8.8,
        "jitter_ms": 0.4,
        "rtt_ms": 21.5,
    }
    assert midia_of(Media(100, 0, 0, 0.0))["perda_percentual"] == 0.0


def test_it_is_written_before_the_end_of_its_leg_and_told_to_nobody(books: Books) -> None:
    from telefonista.calling.records import Fact, Tellers, note

    told: list[str] = []
    tellers = Tellers(changed=lambda session, chamada_id, fact: told.append(fact.tipo))
    id = books.place(books.conta())
    books.talk(id)
    end = Fact("desligada", NOW, "a", {"causa": 16, "sip": None, "por": "far"})
    books.do(note, id, end, tellers, {"perdidos": 1})
    last = books.journal(id)[-2:]
    assert [(evento.tipo, evento.perna, evento.dados) for evento in last] == [
        ("midia", "a", {"perdidos": 1}),
        ("desligada", "a", {"causa": 16, "sip": None, "por": "far"}),
    ]
    assert told == ["desligada"]
    books.finish(id, "origem desligou", 20)
    books.do(note, id, end, tellers, {"perdidos": 1})
    assert books.journal(id)[-1].tipo == "fim"
