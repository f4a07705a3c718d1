"""A database full of chamadas as 90 days of several contas leave them, made in seconds; for bench.reports."""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import Session

from telefonista.conta.queries import create_conta

DAYS = 90
SHARES = (0.5, 0.25, 0.15, 0.07, 0.03)
"""Of all chamadas, by conta."""

SWITCHBOARD = "+554832830151"
"""From which every conta makes more than half of its calls."""

_HOURS = [1, 1, 1, 1, 1, 1, 2, 8, 30, 60, 70, 65, 40, 55, 70, 70, 65, 50, 25, 12, 8, 5, 3, 2]  # of the day, UTC-3
_ENDINGS = [("atendida", 16), ("sem resposta", 19), ("ocupado", 17), ("não existe", 1)]
_TARIFA = '{"preco_minuto": "0.12", "inicial": 60, "incremento": 60, "gratis": 0}'
_COLUMNS = {
    "chamada": """id conta_id recurso data_criacao status_geral estagio conversa_em encerrada_em desfecho tags
        gravar_audio detecta_caixa detecta_caixa_origem detecta_caixa_destino limite_segundos toque_segundos""",
    "perna": """id chamada_id letra leg papel numero e164 tipo classe status data_inicio tocou_em atendida_em
        encerrada_em causa desligou duracao_segundos duracao_falada_segundos duracao_cobrada_segundos tarifa reserva
        preco""",
    "gravacao": "id chamada_id conta_id tipo estado arquivo segredo iniciada_em esperado_ms medido_ms",
}

Row = tuple[Any, ...]


@dataclass
class Filled:
    """What is in the database: the contas' ids and tokens, largest first; a full day; and numbers that are there."""

    contas: list[tuple[int, str]]
    day: datetime
    rare: dict[int, str] = field(default_factory=dict)  # a number called once on that day, by conta


def fill(url: str, rows: int, *, seed: int = 1) -> Filled:
    """Put `rows` chamadas with two legs each, a fifth of them recorded, into a migrated database without calls."""
    contas = _contas(url)
    rng = random.Random(seed)
    last = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)
    day = next(last - timedelta(days=back) for back in range(30, 37) if (last - timedelta(days=back)).weekday() == 1)
    filled = Filled(contas, day)
    batches = _Batches(url)
    try:
        for id, (at, conta_id) in enumerate(_moments(rng, rows, last, [id for id, _ in contas]), start=1):
            batches.add(*_call(rng, id, conta_id, at, filled))
        batches.close()
    finally:
        batches.connection.close()
    return filled


def _contas(url: str) -> list[tuple[int, str]]:
    engine = create_engine(url)
    try:
        with Session(engine) as session, session.begin():
            tokens = [f"bench-{number}" for number in range(len(SHARES))]
            return [
                (create_conta(session, token, token, Decimal(100), datetime.now(UTC)).id, token) for token in tokens
            ]
    finally:
        engine.dispose()


def _moments(rng: random.Random, rows: int, last: datetime, contas: Sequence[int]) -> Iterator[tuple[datetime, int]]:
    """When and whose each chamada is, in order: working days are full, nights and Sundays nearly empty."""
    days = [last - timedelta(days=back) for back in range(DAYS, 0, -1)]
    weights = [(1, 1, 1, 1, 1, 0.4, 0.1)[day.weekday()] for day in days]
    counts = [round(rows * weight / sum(weights)) for weight in weights]
    counts[-1] += rows - sum(counts)
    for day, count in zip(days, counts, strict=True):
        hours = rng.choices(range(24), _HOURS, k=count)
        seconds = sorted(hour * 3600 + rng.random() * 3600 for hour in hours)
        owners = rng.choices(contas, SHARES, k=count)
        yield from zip((day + timedelta(seconds=second) for second in seconds), owners, strict=True)


def _call(
    rng: random.Random, id: int, conta_id: int, at: datetime, filled: Filled
) -> tuple[Row, list[Row], Row | None]:
    status, cause = rng.choices(_ENDINGS, (70, 18, 9, 3))[0]
    talked = rng.expovariate(1 / 120) if status == "atendida" else 0.0
    rings, answers = at + timedelta(seconds=2), at + timedelta(seconds=9)
    end = answers + timedelta(seconds=talked)
    ramal = f"{4000 + rng.randrange(60)}"
    origem = (SWITCHBOARD, "4832830151", "fixo") if rng.random() < 0.6 else (ramal, ramal, "ramal")
    mobile = f"489{rng.randrange(10**8):08d}"
    if conta_id not in filled.rare and at >= filled.day + timedelta(hours=12):
        filled.rare[conta_id] = mobile
    recorded = status == "atendida" and rng.random() < 0.3
    talking = answers if status == "atendida" else None
    ended = "destino desligou" if talking else status
    chamada = (
        *(id, conta_id, "chamada", at, "finalizada", "fim", talking, end, ended, f"pedido {id}", recorded),
        *(False, False, False, 14400, 30),
    )
    pernas: list[Row] = []
    for place, (letra, papel, (e164, numero, tipo)) in enumerate(
        (("a", "origem", origem), ("b", "destino", (f"+55{mobile}", mobile, "movel")))
    ):
        up = at + timedelta(seconds=4) if letra == "a" else talking
        spoken = int((end - up).total_seconds()) if up else 0
        billed = -(-spoken // 60) * 60
        pernas.append(
            (
                *(2 * id - 1 + place, id, letra, f"{id}-{letra}", papel, numero, e164, tipo, tipo),
                *("atendida" if up else status, at, rings, up, end, 16 if up else cause, letra == "b"),
                *(int((end - at).total_seconds()), spoken, billed, _TARIFA, 0, billed * 2000 if tipo != "ramal" else 0),
            )
        )
    if not recorded:
        return chamada, pernas, None
    ms = int(talked * 1000)
    return chamada, pernas, (id, id, conta_id, "completa", "pronta", f"{id}", "s" * 32, answers, ms, ms)


class _Batches:
    """Rows on their way into the database, by its fastest road."""

    def __init__(self, url: str) -> None:
        self._tables: dict[str, tuple[list[str], list[Row]]] = {
            name: (columns.split(), []) for name, columns in _COLUMNS.items()
        }
        parsed = make_url(url)
        self.connection: Any
        if parsed.get_backend_name() == "sqlite":
            self.connection = sqlite3.connect(str(parsed.database))
            self.connection.execute("PRAGMA synchronous=OFF")
            self.connection.execute("PRAGMA cache_size=-200000")
        else:
            self.connection = psycopg.connect(parsed.set(drivername="postgresql").render_as_string(hide_password=False))

    def add(self, chamada: Row, pernas: list[Row], gravacao: Row | None) -> None:
        self._tables["chamada"][1].append(chamada)
        self._tables["perna"][1].extend(pernas)
        if gravacao is not None:
            self._tables["gravacao"][1].append(gravacao)
        if len(self._tables["chamada"][1]) == 20_000:
            self._flush()

    def close(self) -> None:
        """Write the rest, and bring the database to where weeks of work would have it."""
        self._flush()
        self.connection.commit()
        if not isinstance(self.connection, sqlite3.Connection):
            self.connection.autocommit = True
            self.connection.execute("VACUUM ANALYZE")

    def _flush(self) -> None:
        for name, (columns, rows) in self._tables.items():
            if isinstance(self.connection, sqlite3.Connection):
                marks = ",".join("?" * len(columns))
                command = f"INSERT INTO {name} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608 - constants
                self.connection.executemany(command, map(_plain, rows))
            else:
                with self.connection.cursor().copy(f"COPY {name} ({','.join(columns)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            rows.clear()


def _plain(row: Row) -> Row:
    """As SQLAlchemy keeps values in SQLite."""
    return tuple(value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value for value in row)
