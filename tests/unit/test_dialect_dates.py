"""dialect.dates: every accepted format, bounds across summer time, schedules, text of moments and durations."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonista.dialect.dates import hms, iso_local, parse, parse_agenda, parse_instant, parse_limites
from telefonista.dialect.errors import DialectError

# The first text of a run builds Hypothesis's table of characters, which takes over a second.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SP = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2021, 4, 8, 12, 0, 0, 500, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2018-08-02T10:49:30-03:00", "2018-08-02 13:49:30"),
        ("2018-08-02T10:49:30+03:00", "2018-08-02 07:49:30"),
        ("2018-08-02T10:49:30 03:00", "2018-08-02 07:49:30"),
        ("2018-08-02T10:49:30-0300", "2018-08-02 13:49:30"),
        ("2018-08-02T10:49:30-03:0", "2018-08-02 13:49:30"),
        ("2018-08-02T10:49:30Z", "2018-08-02 10:49:30"),
        ("2018-08-02t10:49:30.123z", "2018-08-02 10:49:30.123"),
        ("2018-08-02 10:49:30 UTC", "2018-08-02 10:49:30"),
        ("2018-08-02 10:49:30", "2018-08-02 10:49:30"),
        ("2018-08-02 10:49", "2018-08-02 10:49:00"),
        ("02/08/2018 10:49:30", "2018-08-02 10:49:30"),
        ("02/08/2018", "2018-08-02 00:00:00"),
        (" 2018-08-02 ", "2018-08-02 00:00:00"),
    ],
)
def test_accepted_formats(text: str, utc: str) -> None:
    assert parse_instant(text) == at(utc)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ontem",
        "2018",
        "2018-13-01",
        "2018-02-30",
        "31/02/2018",
        "2018-08-02T25:00:00",
        "2018-08-02T10:49:60",
        "2018-08-02T10:49:30-99:00",
        "1899-12-31",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "٢٠١٨-٠٨-٠٢",
        "2018-08-02T10:49:30 junk",
    ],
)
def test_the_rest_is_refused(text: str) -> None:
    assert parse_instant(text) is None


@unhurried
@given(st.text())
def test_any_text_is_a_moment_or_none(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("inicio", "fim", "start", "end"),
    [
        ("2018-03-14", "2018-03-15", "2018-03-14 03:00", "2018-03-16 03:00"),
        ("2018-03-14", "2018-03-14", "2018-03-14 03:00", "2018-03-15 03:00"),
        ("14/03/2018 10:00:00", "14/03/2018 10:00:00", "2018-03-14 13:00:00", "2018-03-14 13:00:01"),
        ("2018-03-14T10:00:00Z", "2018-03-14T10:00:00.750Z", "2018-03-14 10:00:00", "2018-03-14 10:00:01"),
        ("2018-03-14T10:00:00 01:00", "2018-03-14 10:00:00 UTC", "2018-03-14 09:00:00", "2018-03-14 10:00:01"),
        ("2017-12-08", "2017-12-08", "2017-12-08 02:00", "2017-12-09 02:00"),
        # no midnight on 2017-10-15; 2018-02-17 lasts 25 h and its 23:30 happens twice
        ("2017-10-15", "2017-10-15", "2017-10-15 03:00", "2017-10-16 02:00"),
        ("2018-02-17", "2018-02-17", "2018-02-17 02:00", "2018-02-18 03:00"),
        ("2018-02-17 23:30:00", "2018-02-17 23:30:00", "2018-02-18 01:30:00", "2018-02-18 02:30:01"),
    ],
)
def test_bounds_are_in_the_zone_and_inclusive(inicio: str, fim: str, start: str, end: str) -> None:
    limites = parse_limites(inicio, fim, SP, NOW)
    assert (limites.inicio, limites.fim) == (at(start), at(end))


def test_missing_bounds() -> None:
    second = NOW.replace(microsecond=0) + timedelta(seconds=1)
    assert parse_limites(None, "", SP, NOW) == parse_limites("", None, SP, NOW)
    limites = parse_limites(None, None, SP, NOW)
    assert (limites.inicio, limites.fim) == (second - timedelta(days=30), second)
    assert parse_limites("2020-01-01", None, SP, NOW).fim == second
    assert parse_limites(None, "2020-01-01", SP, NOW).inicio == at("2020-01-02 03:00") - timedelta(days=30)
    future = parse_limites("2030-01-01", None, SP, NOW)
    assert future.inicio == future.fim
    everything = parse_limites(None, None, SP, NOW, tudo=True)
    assert everything.inicio is None and everything.fim is None
    assert parse_limites("2020-01-01", None, SP, NOW, tudo=True).fim is None


@pytest.mark.parametrize(
    ("inicio", "fim", "campo"),
    [
        ("2018-03-15", "2018-03-14", "data_fim"),
        ("2018-03-14 10:00:01", "2018-03-14 10:00:00", "data_fim"),
        ("x", "2018-03-14", "data_inicio"),
        ("2018-03-14", "x", "data_fim"),
    ],
)
def test_wrong_bounds_name_the_field(inicio: str, fim: str, campo: str) -> None:
    with pytest.raises(DialectError) as refusal:
        parse_limites(inicio, fim, SP, NOW)
    assert (refusal.value.status, refusal.value.motivo) == (405, 11)
    assert f"o campo {campo} " in refusal.value.mensagem


def test_a_schedule() -> None:
    assert parse_agenda(None, NOW) is None
    assert parse_agenda("", NOW) is None
    assert parse_agenda("2021-04-08T17:21:20Z", NOW) == at("2021-04-08 17:21:20")
    assert parse_agenda("2021-04-08T17:21:20", NOW) == at("2021-04-08 17:21:20")
    assert parse_agenda("2021-04-08T17:21:20-03:00", NOW) == at("2021-04-08 20:21:20")
    assert parse_agenda(NOW + timedelta(hours=1), NOW) == NOW + timedelta(hours=1)
    assert parse_agenda(NOW - timedelta(seconds=60), NOW) is None
    for wrong in (NOW - timedelta(seconds=61), "2020-01-01", "amanhã"):
        with pytest.raises(DialectError) as refusal:
            parse_agenda(wrong, NOW)
        assert refusal.value.motivo == 11 and "data_criacao" in refusal.value.mensagem


def test_moments_go_out_in_the_zone() -> None:
    assert iso_local(at("2018-08-02 13:49:30.999"), SP) == "2018-08-02T10:49:30-03:00"
    assert iso_local(datetime(2017, 12, 8, 2), SP) == "2017-12-08T00:00:00-02:00"
    assert iso_local(None, SP) is None


@unhurried
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_what_goes_out_comes_back_in(when: datetime) -> None:
    text = iso_local(when, SP)
    whole = when.replace(microsecond=0)
    assert parse_instant(text) == whole
    limites = parse_limites(text, text.replace("+", " "), SP, NOW)
    assert limites.inicio == whole and limites.fim == whole + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (29, "00:00:29"), (60, "00:01:00"), (3661.9, "01:01:01"), (360000, "100:00:00")],
)
def test_durations(seconds: float, text: str) -> None:
    assert hms(seconds) == text
