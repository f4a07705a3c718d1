"""The test network's numbers ("rede de teste"), for whoever routes, prices or announces them.

They are in the DDD 10, which Brazil does not have. What each number does is built in the engine; here is which exist.
"""

from __future__ import annotations

import re

NUMEROS: dict[str, str] = {
    "1030000001": "atende e fala",
    "1030000002": "atende e devolve o que ouve (eco)",
    "1030000003": "ocupado",
    "1030000004": "chama e não atende",
    "1030000005": "não existe",
    "1030000006": "congestionado",
    "1030000007": "mensagem de caixa postal antes de atender; não atende",
    "1030000008": "atende com mensagem de caixa postal e bipe",
    "1030000009": "atende e tecla 1 depois de 1 segundo",
    "1030000010": "rejeita",
    "1030000011": "atende e desliga depois de 3 segundos",
    "1030000021": "atende e toca 440 Hz sem fim",
    "1030000022": "atende e toca 880 Hz sem fim",
}
"""National number (fixo) -> what it does, in the customer's language. Each has a movel twin, see `movel`."""

_FORMA = re.compile(r"(?:\+?55)?109?(30000\d{3})")


def movel(numero: str) -> str:
    """The movel twin of a number of NUMEROS: 1030000001 -> 10930000001."""
    return f"109{numero[2:]}"


def canonico(numero: str) -> str | None:
    """The key in NUMEROS of a number written nationally or as E.164, fixo or movel; None when it is not listed."""
    forma = _FORMA.fullmatch(numero)
    if forma is None:
        return None
    fixo = f"10{forma[1]}"
    return fixo if fixo in NUMEROS else None


def e_da_rede(numero: str) -> bool:
    """True for the listed numbers alone, in any form `canonico` takes; the rest of DDD 10 belongs to nobody."""
    return canonico(numero) is not None
