"""The findings for people and for programs."""

import json
from collections.abc import Sequence

from telefonista.doctor.result import Result, State

_COLOURS = {State.OK: "32", State.WARNING: "33", State.ERROR: "31"}


def text(results: Sequence[Result], *, colour: bool) -> str:
    width = max(len(state) for state in State)
    lines = []
    for result in results:
        state = f"{result.state:<{width}}"
        if colour:
            state = f"\x1b[{_COLOURS[result.state]}m{state}\x1b[0m"
        first, *more = result.text.splitlines() or [""]
        lines.append(f"{state}  {result.item}: {first}")
        lines += [f"{'':{width}}  {line}" for line in more]
        if result.todo:
            lines.append(f"{'':{width}}  → {result.todo}")
    return "\n".join([*lines, "", _summary(results)])


def as_json(results: Sequence[Result]) -> str:
    """`estado` is ok, atencao or erro; `fazer` is empty when there is nothing to do."""
    checks = [
        {
            "item": result.item,
            "estado": result.state.replace("ç", "c").replace("ã", "a"),
            "texto": result.text,
            "fazer": result.todo,
        }
        for result in results
    ]
    return json.dumps({"saudavel": healthy(results), "itens": checks}, ensure_ascii=False, indent=1)


def healthy(results: Sequence[Result]) -> bool:
    return all(result.state is not State.ERROR for result in results)


def _summary(results: Sequence[Result]) -> str:
    errors = sum(result.state is State.ERROR for result in results)
    warnings = sum(result.state is State.WARNING for result in results)
    if errors:
        return f"{errors} erro(s), {warnings} aviso(s)."
    return f"Nenhum erro, {warnings} aviso(s)." if warnings else "Tudo em ordem."
