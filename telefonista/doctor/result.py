"""What a check of the doctor says; made by the checks, shown by report."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "atenção"
    ERROR = "erro"


@dataclass(frozen=True)
class Result:
    """One line: what was looked at, how it is, in words, and what to do about it."""

    item: str
    state: State
    text: str
    todo: str = ""


def ok(item: str, text: str, todo: str = "") -> Result:
    return Result(item, State.OK, text, todo)


def warning(item: str, text: str, todo: str) -> Result:
    return Result(item, State.WARNING, text, todo)


def error(item: str, text: str, todo: str) -> Result:
    return Result(item, State.ERROR, text, todo)


Check = Callable[[], Result]


def shielded(item: str, check: Check) -> Result:
    """The check's result; a check that breaks is a finding too, and never hides the others."""
    try:
        return check()
    except Exception as problem:
        return error(
            item,
            f"não consegui conferir: {type(problem).__name__}: {problem}",
            "Isto é um defeito do `telefonista doctor`: relate-o com esta linha.",
        )
