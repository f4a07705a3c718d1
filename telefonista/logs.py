"""How the product logs: one line an event, numbers maskable, no secret and no local variable of a traceback."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_NUMBERS = ("numero", "caller", "dialled", "bina")


def setup(*, json: bool, mask: bool) -> None:
    """Configure structlog and the standard library's loggers, on stderr."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if mask:
        processors.append(_mask)
    if json:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        )
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


def _mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for key in _NUMBERS:
        if isinstance(event.get(key), str):
            event[key] = masked(event[key])
    return event


def masked(numero: str) -> str:
    """4832830151 -> 4832****51; what is too short to be a number stays."""
    digits = re.sub(r"\D", "", numero)
    return numero if len(digits) < 8 else f"{digits[:4]}****{digits[-2:]}"
