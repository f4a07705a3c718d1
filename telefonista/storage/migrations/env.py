"""How Alembic reaches the database: the URL comes from storage.migrate. All that is missing is done, or nothing."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, event

from telefonista.storage.tables import Base


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        # The driver begins no transaction before DDL. Foreign keys stay off, as a connection of SQLite starts: with
        # them on, rebuilding a table deletes what refers to it.
        @event.listens_for(engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


engine = _engine(context.config.attributes["url"])
try:
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transactional_ddl=True,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
            user_module_prefix="types.",
        )
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
