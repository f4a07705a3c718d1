"""The real engine for tests: installed once into the ordinary cache, run in throw-away directories on loopback."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from telefonista.engine.asterisk.install import EngineTree, ensure_engine
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.spawn import free_port
from telefonista.engine.asterisk.state import status, stop_engine


@pytest.fixture(scope="session")
def engine_tree() -> EngineTree:
    """The private engine; the first run on a machine downloads it (about 80 MB)."""
    cache = Path(os.environ.get("TELEFONISTA_CACHE") or Path.home() / ".cache/telefonista")
    return asyncio.run(ensure_engine(cache, asterisk=None, progress=lambda text, done: None))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """An instance on free loopback ports; whatever engine is left in it afterwards is ended."""
    inst = Instance(tmp_path / "motor", "127.0.0.1", free_port(), (28_000, 28_499))
    yield inst
    if status(inst.directory):
        asyncio.run(stop_engine(inst.directory, grace=2))
