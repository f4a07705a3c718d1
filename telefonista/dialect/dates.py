"""Times in and out: bounds of reports, schedules, and the text of moments and durations; for every feature."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple, overload
from zoneinfo import ZoneInfo

from telefonista.dialect.errors import invalido

FORMATS = "AAAA-MM-DD, AAAA-MM-DDThh:mm:ss-03:00 ou dd/MM/aaaa hh:mm:ss"

_TIME = r"(?P<hora>\d\d):(?P<minuto>\d\d)(?::(?P<segundo>\d\d)(?:[.,](?P<fracao>\d{1,9}))?)?"
_ZONE = r"(?:\s*(?P<utc>Z|UTC|GMT)|\s*(?P<sinal>[+-])(?P<h>\d\d):?(?P<m>\d{1,2})?|\s(?P<h2>\d\d):(?P<m2>\d\d))"
_ISO = re.compile(rf"(?P<ano>\d{{4}})-(?P<mes>\d\d)-(?P<dia>\d\d)(?:[T ]\s*{_TIME}{_ZONE}?)?", re.ASCII | re.IGNORECASE)
_BR = re.compile(rf"(?P<dia>\d\d)/(?P<mes>\d\d)/(?P<ano>\d{{4}})(?:[T ]\s*{_TIME})?", re.ASCII | re.IGNORECASE)


class Moment(NamedTuple):
    """A parsed text: naive when it had no offset; `timed` is false for a date alone."""

    when: datetime
    timed: bool


@dataclass(frozen=True, slots=True)
class Limites:
    """`inicio` <= created < `fim`, both aware UTC; None is open."""

    inicio: datetime | None
    fim: datetime | None


def parse(text: str) -> Moment | None:
    """AAAA-MM-DD, RFC 3339 (also with a space, `UTC`, a short offset as `-03:0`, or a `+` decoded to a space),
    dd/MM/aaaa hh:mm:ss; years 1900 to 2999. None when it is none of these."""
    found = _ISO.fullmatch(text.strip()) or _BR.fullmatch(text.strip())
    if found is None:
        return None
    part = found.groupdict()
    zone: tzinfo | None = UTC if part.get("utc") else None
    hours, minutes = part.get("h") or part.get("h2"), part.get("m") or part.get("m2") or "0"
    timed = part["hora"] is not None
    fraction = (part["fracao"] or "0").ljust(6, "0")[:6]
    try:
        if hours:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            zone = timezone(-offset if part.get("sinal") == "-" else offset)
        day = datetime(int(part["ano"]), int(part["mes"]), int(part["dia"]), tzinfo=zone)
        hour, minute, second = (int(part[name] or 0) for name in ("hora", "minuto", "segundo"))
        when = day.replace(hour=hour, minute=minute, second=second, microsecond=int(fraction))
    except ValueError:
        return None
    return Moment(when, timed) if 1900 <= when.year <= 2999 else None


def parse_instant(text: str) -> datetime | None:
    """As aware UTC; without offset the text is UTC."""
    moment = parse(text)
    return None if moment is None else _utc(moment.when, UTC)


def parse_limites(
    data_inicio: str | None,
    data_fim: str | None,
    zone: ZoneInfo,
    now: datetime,
    *,
    tudo: bool = False,
    dias: int = 30,
) -> Limites:
    """Bounds of a report. Without offset they are in `zone`; a date-only `data_fim` includes its day, a timed one its
    whole second. A missing bound is open with `tudo`, else the report covers `dias` days up to the other bound or now.
    405/11 for anything unreadable, or `data_fim` before `data_inicio`."""
    inicio, fim = _bound("data_inicio", data_inicio), _bound("data_fim", data_fim)
    start = None if inicio is None else _utc(inicio.when, zone)
    end = None if fim is None else _end(fim, zone)
    if start is not None and end is not None and end <= start:
        raise invalido("data_fim", "informe uma data igual ou posterior a data_inicio")
    if tudo:
        return Limites(start, end)
    if end is None:
        end = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        end = end if start is None else max(start, end)
    return Limites(end - timedelta(days=dias) if start is None else start, end)


def parse_agenda(value: str | datetime | None, now: datetime, campo: str = "data_criacao") -> datetime | None:
    """When a scheduled call starts, as aware UTC (without offset the text is UTC); None is now.
    Up to 60 s in the past is now; more is 405/11 naming `campo`."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    when = _utc(value, UTC) if isinstance(value, datetime) else parse_instant(value)
    if when is None:
        raise invalido(campo, f"informe a data em UTC como {FORMATS}")
    if when < now - timedelta(seconds=60):
        raise invalido(campo, "informe uma data e hora futura em UTC, ou deixe vazio para ligar agora")
    return when if when > now else None


@overload
def iso_local(dt_utc: datetime, zone: ZoneInfo) -> str: ...
@overload
def iso_local(dt_utc: None, zone: ZoneInfo) -> None: ...
def iso_local(dt_utc: datetime | None, zone: ZoneInfo) -> str | None:
    """'2018-08-02T10:49:30-03:00' in `zone`, seconds cut off; a naive moment is UTC; None stays None."""
    return None if dt_utc is None else _utc(dt_utc, UTC).astimezone(zone).isoformat(timespec="seconds")


def hms(seconds: float) -> str:
    """'HH:MM:SS' of a duration of 0 or more seconds, fraction cut off; hours may pass 99."""
    total = int(seconds)
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}"


def _utc(when: datetime, zone: tzinfo) -> datetime:
    return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)


def _bound(campo: str, text: str | None) -> Moment | None:
    if text is None or not text.strip():
        return None
    moment = parse(text)
    if moment is None:
        raise invalido(campo, f"informe a data como {FORMATS}")
    return moment


def _end(fim: Moment, zone: ZoneInfo) -> datetime:
    if not fim.timed:
        return _utc(fim.when + timedelta(days=1), zone)
    whole = fim.when.replace(microsecond=0)
    # An hour that happens twice when summer time ends is included both times.
    return max(_utc(whole, zone), _utc(whole.replace(fold=1), zone)) + timedelta(seconds=1)
