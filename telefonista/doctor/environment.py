"""The settings as they came: valid, and no variable that nobody reads."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from telefonista.doctor.result import Result, error, ok, warning
from telefonista.settings import Settings

PREFIX = "TELEFONISTA_"
ELSEWHERE = frozenset({"TELEFONISTA_TRONCO_SENHA"})
"""Read by a command, not a setting."""


def invalid(problem: str) -> Result:
    return error(
        "configuração", problem, "Corrija no ambiente ou no arquivo .env; só depois disso o resto é conferido."
    )


def names(environ: Mapping[str, str], dotenv: Path) -> Result:
    """A misspelt variable is silently without effect: say which one was probably meant."""
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    given = _ours(environ) | _ours(dotenv_values(dotenv) if dotenv.is_file() else ())
    strange = sorted(given - known - ELSEWHERE)
    if strange:
        return warning(
            "configuração", f"ninguém lê {', '.join(strange)}", " ".join(_hint(name, known) for name in strange)
        )
    return ok("configuração", f"{len(given - ELSEWHERE)} variáveis definidas, todas válidas")


def _ours(names: Iterable[str]) -> set[str]:
    return {name.upper() for name in names if name.upper().startswith(PREFIX)}


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"{name}: quis dizer {near[0]}?" if near else f"Tire {name}."
