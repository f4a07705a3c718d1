"""The database without a server: one transaction at a time, for the operator's commands and their checks. Blocking."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from telefonista.refusal import Refusal
from telefonista.storage.session import _engine


class Unreachable(Refusal):
    """There is no such database, it does not answer, or it lacks tables; the text holds no password."""


@contextmanager
def transaction(url: str, *, writes: bool = True) -> Iterator[Session]:
    """A session in one transaction: committed at the end of the block, undone by an exception.

    A running server may write at the same time: SQLite waits for it up to 30 s. A database that is absent is not made:
    Unreachable.
    """
    require(url)
    with explaining(url):
        engine = _engine(_bounded(url), writes=writes)
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        finally:
            engine.dispose()


def require(url: str) -> None:
    """Unreachable when the SQLite file is not there: connecting would make an empty one."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).is_file():
        raise Unreachable(
            f"Ainda não há banco de dados em {parsed.database}: rode `telefonista serve` ou `telefonista migrate`."
        )


@contextmanager
def explaining(url: str) -> Iterator[None]:
    """Turn a database's own refusals into Unreachable."""
    try:
        yield
    except IntegrityError:  # an answer to what the unit did, not a sick database
        raise
    except DatabaseError as problem:
        raise Unreachable(f"O banco de dados {shown(url)} não serve: {_said(problem)}. {_advice(problem)}") from None


def shown(url: str) -> str:
    """The address without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _bounded(url: str) -> str:
    """A PostgreSQL that swallows packets is given up after 10 s: libpq alone would wait for minutes."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql" and "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": "10"})
    return parsed.render_as_string(hide_password=False)


def _said(problem: DBAPIError) -> str:
    return next(iter(str(problem.orig).strip().splitlines()), "sem explicação").rstrip(".")


def _advice(problem: DBAPIError) -> str:
    text = str(problem.orig)
    if "no such table" in text or "does not exist" in text and "relation" in text or "no such column" in text:
        return "Faltam tabelas: rode `telefonista migrate`."
    if "locked" in text:
        return "Outro programa o segura: feche-o e tente de novo."
    return "Confira TELEFONISTA_DATABASE_URL e se o banco está no ar."
