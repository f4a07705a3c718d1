"""Rules of the house that no linter knows: waits, sizes, first sentences, and no trace of a machine."""

import ast
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT, TESTS = 350, 500
VERSIONS = "/migrations/versions/"

TOO_LONG = {
    "telefonista/engine/fake/engine.py": 380,
    "telefonista/storage/tables.py": 450,
    "tests/engine/test_engine_contract.py": 600,
}
"""Files over their limit, with what they may be until they are cut; a file that fits leaves this list."""

SLEEP = re.compile(r"\b(?:asyncio|anyio|time)\.sleep\(|\bfrom (?:asyncio|anyio|time) import [^\n]*\bsleep\b")
PLACE = re.compile(r"(?<![\w./~])/(?:root|home/(?!ana\b)[a-z]\w*|work|Users|mnt)(?:/|\b(?=[\"'\s:]))")
SKIPPED = {".git", ".venv", "__pycache__", "node_modules", "dist", "build"}


def files(*tops: str, ending: str = "") -> Iterator[Path]:
    for top in tops:
        for folder, names, found in os.walk(ROOT / top):
            names[:] = [name for name in names if name not in SKIPPED and not name.endswith("_cache")]
            yield from (Path(folder, name) for name in found if name.endswith(ending))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources(*tops: str) -> dict[str, str]:
    """The text of every Python file there is now."""
    found = {}
    for path in files(*tops, ending=".py"):
        with suppress(FileNotFoundError):  # somebody's scratch file, gone meanwhile
            found[relative(path)] = path.read_text("utf-8")
    return found


def limit(name: str) -> int:
    return PRODUCT if name.startswith("telefonista/") else TESTS


# Not parametrized by file: the workers of pytest-xdist must collect alike also while somebody writes a new one.


def test_nothing_sleeps() -> None:
    """Waits are events inside a deadline: a sleep is too long when all is well and too short when it is not."""
    assert [name for name, text in sources("telefonista", "tests", "bench").items() if SLEEP.search(text)] == []


def test_a_file_can_be_read_at_once() -> None:
    lengths = {
        name: len(text.splitlines()) for name, text in sources("telefonista", "tests").items() if VERSIONS not in name
    }
    assert {name: length for name, length in lengths.items() if length > TOO_LONG.get(name, limit(name))} == {}


@pytest.mark.parametrize("name", sorted(TOO_LONG))
def test_what_fits_is_no_exception_any_more(name: str) -> None:
    assert len((ROOT / name).read_text("utf-8").splitlines()) > limit(name)


def test_a_module_says_what_it_is() -> None:
    """An empty __init__ says nothing."""
    texts = {name: text for name, text in sources("telefonista").items() if text.strip()}
    assert [name for name, text in texts.items() if not (ast.get_docstring(ast.parse(text)) or "").strip()] == []


def test_no_file_knows_a_machine() -> None:
    """A path of somebody's own machine means nothing elsewhere, and tells of it."""
    found = []
    for path in files("telefonista", "tests", "docs", ".ci", "bench"):
        if path.suffix in {".py", ".md", ".conf", ".html", ".js", ".ts", ".json", ".mako", ""}:
            found += [f"{relative(path)}: {hit}" for hit in PLACE.findall(path.read_text("utf-8", "replace"))]
    for path in ROOT.iterdir():
        if path.is_file() and path.name not in {"uv.lock", ".env"}:
            found += [f"{path.name}: {hit}" for hit in PLACE.findall(path.read_text("utf-8", "replace"))]
    assert not found
