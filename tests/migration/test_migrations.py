"""Migrations on both databases: empty to head equals the models, each step goes down and up, and all or nothing."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from telefonista.storage.migrate import config, migrate
from telefonista.storage.tables import Base

pytest_plugins = ["tests.databases"]


def scripts(url: str) -> ScriptDirectory:
    return ScriptDirectory.from_config(config(url))


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def test_empty_to_head_equals_the_models(database_url: str) -> None:
    migrate(database_url)
    engine: Engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            differences = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
            assert differences == []
            assert revision(connection) == scripts(database_url).get_current_head()
    finally:
        engine.dispose()


def test_one_line_of_revisions() -> None:
    numbers = [script.revision for script in scripts("sqlite://").walk_revisions()][::-1]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_every_step_goes_down_and_up_again(database_url: str) -> None:
    steps = [script.revision for script in scripts(database_url).walk_revisions()][::-1]
    known: list[set[str]] = []
    for step in steps:
        migrate(database_url, step)
        known.append(tables(database_url))
    for step, before in list(zip(["base", *steps], [{"alembic_version"}, *known], strict=False))[-2::-1]:
        command.downgrade(config(database_url), step)
        assert tables(database_url) == before
    migrate(database_url)
    assert tables(database_url) == {"alembic_version", *Base.metadata.tables}


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    before = tables(database_url)
    migrate(database_url)
    assert tables(database_url) == before


def test_a_migration_is_done_whole_or_not_at_all(database_url: str) -> None:
    """What stands in the way of the last table undoes the ones made before it; without it the migration goes on."""
    migrate(database_url, "0001")
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE gravacao_parte (id INTEGER)"))
        before = tables(database_url)
        with pytest.raises(DatabaseError):
            migrate(database_url)
        assert tables(database_url) == before
        with engine.begin() as connection:
            assert revision(connection) == "0001"
            connection.execute(text("DROP TABLE gravacao_parte"))
    finally:
        engine.dispose()
    migrate(database_url)
    assert tables(database_url) == {"alembic_version", *Base.metadata.tables}
