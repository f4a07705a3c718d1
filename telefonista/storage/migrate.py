"""Brings a database to the newest tables; for the wiring, the command line and the tests."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(url: str, revision: str = "head") -> None:
    """Run every migration that is missing, in one transaction where the database can. Blocking."""
    command.upgrade(config(url), revision)


def config(url: str) -> Config:
    """Alembic's configuration without a file."""
    options = Config()
    options.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    options.attributes["url"] = url
    return options
