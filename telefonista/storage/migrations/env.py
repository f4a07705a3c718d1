"""How Alembic reaches the database: the URL comes from storage.migrate."""

from alembic import context
from sqlalchemy import create_engine

from telefonista.storage.tables import Base

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        user_module_prefix="types.",
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
