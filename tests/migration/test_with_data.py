"""Every older revision, full of rows, goes to head and every value is still there, read through today's models."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, and_, create_engine, func, select
from sqlalchemy.dialects import sqlite

from telefonista.storage.migrate import config, migrate
from telefonista.storage.tables import Base
from tests.migration.rows import AFTER, GONE, ROWS, Row

pytest_plugins = ["tests.databases"]

REVISIONS = [script.revision for script in ScriptDirectory.from_config(config("sqlite://")).walk_revisions()][::-1]


def raw(value: Any, dialect: str) -> Any:
    """A value as the column keeps it: millionths, UTC."""
    if isinstance(value, Decimal):
        return int(value * 1_000_000)
    if isinstance(value, datetime) and dialect == sqlite.dialect.name:
        return value.replace(tzinfo=None)
    return value


def fill(connection: Connection, revision: str) -> dict[str, list[Row]]:
    """Put a row into every table there is at `revision`; returns what was put where."""
    there = MetaData()
    there.reflect(connection)
    put: dict[str, list[Row]] = {}
    for step in REVISIONS[: REVISIONS.index(revision) + 1]:
        for name, rows in ROWS.get(step, {}).items():
            for row in rows:
                table = there.tables[name]
                known = {column: raw(value, connection.dialect.name) for column, value in row.items()}
                connection.execute(table.insert().values(known))
            put[name] = rows
    empty = set(there.tables) - set(put) - {"alembic_version"}
    assert not empty, f"tests/migration/rows.py has no rows for {sorted(empty)}, which revision {revision} has"
    return put


def read(connection: Connection, table: Table, row: Row) -> Row:
    """The row of the same key, as today's models see it."""
    key = and_(*(column == row[column.name] for column in table.primary_key))
    return dict(connection.execute(select(table).where(key)).mappings().one())


@pytest.mark.parametrize("revision", REVISIONS[:-1] or REVISIONS)
def test_rows_survive_the_way_to_head(database_url: str, revision: str) -> None:
    migrate(database_url, revision)
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            put = fill(connection, revision)
        migrate(database_url)
        with engine.begin() as connection:
            for name, rows in put.items():
                table = Base.metadata.tables[name]
                for row in rows:
                    kept = {column: value for column, value in row.items() if (name, column) not in GONE}
                    now = read(connection, table, row)
                    assert {column: now.get(column, "gone") for column in kept} == kept, name
                if name != "rate":  # 0001 brings everybody's rates
                    assert connection.scalar(select(func.count()).select_from(table)) == len(rows)
            for step in REVISIONS[REVISIONS.index(revision) + 1 :]:
                AFTER.get(step, lambda _: None)(connection)
            _no_dangling_key(connection)
    finally:
        engine.dispose()


def _no_dangling_key(connection: Connection) -> None:
    if connection.dialect.name == sqlite.dialect.name:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_everybody_has_rates(migrated_url: str) -> None:
    """A fresh house prices every class at home; international is priced conta by conta."""
    engine = create_engine(migrated_url)
    rate = Base.metadata.tables["rate"]
    try:
        with engine.connect() as connection:
            found = connection.execute(select(rate.c.classe, rate.c.preco_minuto, rate.c.conta_id)).all()
    finally:
        engine.dispose()
    assert {classe: preco for classe, preco, _ in found} == {
        "ramal": Decimal(0),
        "fixo": Decimal("0.12"),
        "movel": Decimal("0.35"),
        "0800": Decimal(0),
        "0300": Decimal("0.35"),
        "4004": Decimal("0.12"),
    }
    assert {conta_id for *_, conta_id in found} == {None}
