"""What is wrong with the settings, in Portuguese: pydantic's errors by type; for `settings.load` only."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

SECRET = ("token", "database_url")
"""Never repeated in a message: logs and terminals are read by others."""


def explain(error: ValidationError) -> str:
    """One line for each bad variable: its name, what is accepted, what came."""
    return "\n".join(_line(item) for item in error.errors())


def _line(item: Mapping[str, Any]) -> str:
    if not item["loc"]:
        return _what(item)
    field = str(item["loc"][0])
    given = "" if field in SECRET else f" (veio {str(item['input'])!r})"
    return f"TELEFONISTA_{field.upper()}: {_what(item)}{given}"


def _what(item: Mapping[str, Any]) -> str:
    kind, context = str(item["type"]), item.get("ctx", {})
    match kind:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return "use um número inteiro"
        case "decimal_parsing" | "decimal_type" | "finite_number":
            return "use um valor em reais, por exemplo 1000.00"
        case "bool_parsing" | "bool_type":
            return "use on ou off"
        case "greater_than_equal":
            return f"use {context['ge']} ou mais"
        case "less_than_equal":
            return f"use {context['le']} ou menos"
        case "literal_error":
            return f"use {context['expected'].replace(' or ', ' ou ').replace(chr(39), '')}"
        case "path_type":
            return "use um caminho"
        case "decimal_max_places" | "decimal_max_digits" | "decimal_whole_digits":
            return "use um valor menor ou com menos casas"
        case "value_error":
            return str(context["error"])
        case _:
            return f"valor inválido ({kind})"
