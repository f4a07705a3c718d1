"""The documents say what is: settings, commands, routes, files and numbers named in them exist, none left out."""

import configparser
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cyclopts
import pytest

from telefonista import __version__
from telefonista.__main__ import app as commands
from telefonista.app import Product, make_app
from telefonista.calling.house import House
from telefonista.engine.rede import NUMEROS, movel
from telefonista.settings import Settings
from telefonista.storage.tables import Base
from telefonista.tronco.cli import SENHA
from telefonista.tronco.http import Operador

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.pt-BR.md")
DOCUMENTS = sorted(
    [*READMES, "CONTRIBUTING.md", "CHANGELOG.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
)
SETTINGS = {f"TELEFONISTA_{name.upper()}": field for name, field in Settings.model_fields.items()}
PLACES = {"TELEFONISTA_HOME": "~/.local/share/telefonista", "TELEFONISTA_CACHE": "~/.cache/telefonista"}


def text_of(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def rows(document: str, start: str) -> Iterator[list[str]]:
    """The cells of every table row whose first cell is code that begins with `start`."""
    for line in text_of(document).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith(f"| `{start}"):
            yield cells


def shown(value: Any) -> str:
    """A default the way .env takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return "" if value is None else str(value)


def leaves(app: cyclopts.App, path: str) -> Iterator[str]:
    """Every command that does something, written out."""
    for name in app:
        if not name.startswith("-"):
            below = list(leaves(app[name], f"{path} {name}"))
            yield from below or [f"{path} {name}"]


@pytest.fixture(scope="module")
def known_commands() -> set[str]:
    return set(leaves(commands, "telefonista"))


@pytest.fixture(scope="module")
def routes() -> set[str]:
    """Every route there is, without the names of its parameters; making the app needs no house behind it."""

    async def stop() -> None:
        raise AssertionError("not called")

    app = make_app(Product(cast(House, None), cast(Operador, None), stop))
    found = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    return {re.sub(r"{\w+}", "{}", route) for route in found}


@pytest.mark.parametrize("document", READMES)
def test_the_settings_table_is_the_settings(document: str) -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(document, "TELEFONISTA_")}
    assert set(table) == set(SETTINGS)
    defaults = {name: PLACES.get(name, shown(field.default)) for name, field in SETTINGS.items()}
    assert table == defaults


def test_the_example_of_env_names_every_setting() -> None:
    assert set(re.findall(r"^#?(TELEFONISTA_\w+)=", text_of(".env.example"), re.MULTILINE)) == set(SETTINGS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_variable_is_invented(document: str) -> None:
    assert set(re.findall(r"TELEFONISTA_[A-Z_]*[A-Z]", text_of(document))) <= {*SETTINGS, SENHA}


@pytest.mark.parametrize("document", READMES)
def test_the_commands_table_is_the_commands(document: str, known_commands: set[str]) -> None:
    assert {cells[0].strip("`") for cells in rows(document, "telefonista ")} == known_commands


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_named_in_a_document_exist(document: str, known_commands: set[str]) -> None:
    groups = {command.rpartition(" ")[0] for command in known_commands}
    for code in re.findall(
        r"`((?:\.venv/bin/)?telefonista [a-z][^`]*)`|^(\.venv/bin/telefonista .*)$", *_lines(document)
    ):
        line = next(filter(None, code)).removeprefix(".venv/bin/")
        words = re.match(r"telefonista((?: [a-z|]+)+)", line)
        assert words, line
        _, first, *more = words[0].split(" ")
        for second in (more or [""])[0].split("|"):  # `tronco add|list` names two
            named = f"telefonista {first} {second}".strip()
            assert named in known_commands | groups or f"telefonista {first}" in known_commands, line


def _lines(document: str) -> tuple[str, re.RegexFlag]:
    return text_of(document), re.MULTILINE


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_named_with_a_command_exist(document: str) -> None:
    """A line of shell is tried on the command line's own parser, which reads it and runs nothing."""
    text = re.sub(r"\\\n\s*", "", text_of(document))
    for line in re.findall(r"^\.venv/bin/telefonista (.*)$", text, re.MULTILINE):
        command, _, _ = commands.parse_args(line.split(), exit_on_error=False, print_error=False)
        assert callable(command), line


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    there = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", *_lines(document))
    assert {first or second for first, second in named} <= there


@pytest.mark.parametrize("document", DOCUMENTS)
def test_routes_named_in_a_document_exist(document: str, routes: set[str]) -> None:
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`? ]*)`", text_of(document))
    assert {re.sub(r"{\w+}", "{}", route) for route in named} <= routes


@pytest.mark.parametrize(("document", "start"), [("README.md", "- Not there:"), ("README.pt-BR.md", "- Não há:")])
def test_what_is_not_there_is_not_there(document: str, start: str, routes: set[str]) -> None:
    item = text_of(document).partition(start)[2].partition("\n- ")[0]
    absent = re.findall(r"`([a-z]+)`", item)
    assert absent
    assert not {route for route in routes if route.split("/")[1] in absent}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_files_named_in_a_document_exist(document: str) -> None:
    text = text_of(document)
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    files = re.findall(r"`((?:telefonista|tests|docs)/[\w/.-]*\w)`", text)
    missing = [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing + [name for name in files if not (ROOT / name).exists()]


@pytest.mark.parametrize("document", READMES)
def test_anchors_lead_to_a_heading(document: str) -> None:
    text = text_of(document)
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


@pytest.mark.parametrize(
    "parts",
    [
        lambda text: [len(line.split(" ")[0]) for line in text.splitlines() if re.match("#+ ", line)],
        lambda text: re.findall(r"^(?:make|curl|git|cd|sudo|sqlite3|\.venv/bin/\S+) \S+", text, re.MULTILINE),
        lambda text: re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE),
        lambda text: len(re.findall(r"^\| ", text, re.MULTILINE)),
        lambda text: len(re.findall(r"^- ", text, re.MULTILINE)),
        lambda text: set(re.findall(r"`(telefonista/[^`]+)`", text)),
    ],
    ids=["headings", "commands", "tables", "rows", "items", "files"],
)
def test_both_readmes_have_the_same_parts(parts: Callable[[str], Any]) -> None:
    english, portuguese = (parts(text_of(document)) for document in READMES)
    assert english == portuguese
    assert english


@pytest.mark.parametrize("document", READMES)
def test_the_test_network_is_as_described(document: str) -> None:
    table = {cells[0].strip("`"): cells[1] for cells in rows(document, "1030")}
    assert set(table) == set(NUMEROS)
    if document == "README.pt-BR.md":
        assert table == NUMEROS
    others = set(re.findall(r"\b10\d{8,9}\b", text_of(document))) - set(NUMEROS)
    assert others <= {movel(numero) for numero in NUMEROS}


def test_every_table_is_in_the_glossary() -> None:
    words = set(re.findall(r"`([a-z_]+)`", text_of("docs/glossario.md")))
    assert set(Base.metadata.tables) <= words


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__} " in text_of("CHANGELOG.md")


def test_the_packages_of_the_import_rules_exist() -> None:
    rules = configparser.ConfigParser()
    rules.read_string(text_of(".importlinter"))
    for section in rules.sections():
        for key in ("layers", "source_modules", "forbidden_modules"):
            for name in re.findall(r"[\w.]+", rules.get(section, key, fallback="")):
                assert importlib.util.find_spec(name) is not None, f"{section}: {name}"
