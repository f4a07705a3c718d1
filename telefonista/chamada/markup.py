"""HTML and SVG made of calls instead of pasted text: whatever is not markup already is escaped. For pages of ours."""

from html import escape
from typing import Any


class Markup(str):
    """Text that is HTML. Only `tag` and `join` make it."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: Any) -> Markup:
    """An element; in attribute names `_` is `-` and a last `_` is dropped. An attribute that is None is left out.

    True is an attribute without a value. Elements that can have no content are `void`.
    """
    pairs = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Markup(f"<{name}{pairs}>{join(content)}</{name}>")


def void(name: str, /, **attributes: Any) -> Markup:
    """An element without content, as `<meta>`."""
    pairs = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Markup(f"<{name}{pairs}>")


def join(parts: Any) -> Markup:
    """Markup as it is, everything else escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(str(part)) for part in parts))


def trusted(text: str) -> Markup:
    """Text of our own that is HTML already, as a stylesheet from a file."""
    return Markup(text)


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
