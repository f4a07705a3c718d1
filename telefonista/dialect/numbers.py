"""What a destination is, by structure alone: ramal-like, fixo, movel, special or international; for every feature.

Whether a ramal exists is the caller's question, asked first (exact match). Short texts never meet a number library.
"""

import re
from dataclasses import dataclass
from typing import Literal

Tipo = Literal["ramal", "movel", "fixo"]
Classe = Literal["ramal", "movel", "fixo", "0800", "0300", "4004", "internacional"]

_SEPARATORS = str.maketrans("", "", " \t\u00a0().-/")
_DIGITS = re.compile(r"\+?[0-9]+")
_SPECIAL: tuple[tuple[Classe, re.Pattern[str]], ...] = (
    ("0800", re.compile(r"800(\d{6}|\d{7})")),
    ("0300", re.compile(r"30[03]\d{7}")),
    ("4004", re.compile(r"(?:300|400)[1-9]\d{4}|[1-9]\d(?:3003|4004)\d{4}")),
)
_FIXO = re.compile(r"[1-9]\d[2-5]\d{7}")
_MOVEL = re.compile(r"[1-9]\d9\d{8}")
_COLLECT = re.compile(r"0?90[1-9]\d{11,12}|0?9090\d{8,9}")

_FORMATO = "informe DDD + número, com 10 dígitos (fixo) ou 11 dígitos (celular), ou o número de um ramal"


class NumeroInvalido(ValueError):
    """Says in Portuguese what to send instead; the caller names the field, as in `invalido(campo, str(error))`."""


@dataclass(frozen=True, slots=True)
class Numero:
    """`original` is the text as given, trimmed; `e164` is None for what looks like a ramal."""

    original: str
    e164: str | None
    tipo: Tipo
    classe: Classe

    @property
    def nacional(self) -> str | None:
        """As dialled inside Brazil: '4832830151', '08001234567', '40041234'; None for ramal and international."""
        if self.e164 is None or self.classe == "internacional":
            return None
        return ("0" if self.classe in ("0800", "0300") else "") + self.e164[3:]


def e_servico(texto: str) -> bool:
    """Whether a text is an emergency or three-digit service (1xx, 911, 112), also behind a 0: never called by API."""
    digits = texto.translate(_SEPARATORS).removeprefix("+").removeprefix("55").lstrip("0")
    return bool(re.fullmatch(r"1[0-9]{2}|911", digits))


def classify(texto: str) -> Numero:
    """The class of a number; NumeroInvalido when it is none. DDDs are not checked for existence: DDD 10 is accepted."""
    original = texto.strip()
    compact = original.translate(_SEPARATORS)
    if not compact:
        raise NumeroInvalido(_FORMATO)
    if not _DIGITS.fullmatch(compact):
        raise NumeroInvalido("use só dígitos, espaços, parênteses, pontos, hífens e o sinal + no início")
    if e_servico(compact):
        raise NumeroInvalido("números de emergência e serviços de três dígitos não são chamados pela API")
    if compact.startswith("+"):
        return _international(original, compact[1:])
    if _COLLECT.fullmatch(compact):
        raise NumeroInvalido("chamadas a cobrar (90) não são aceitas: informe DDD + número")
    if 2 <= len(compact) <= 6 and not compact.startswith("0"):
        return Numero(original, None, "ramal", "ramal")
    if compact.startswith("00"):
        raise NumeroInvalido("para ligação internacional informe + e o código do país, por exemplo +14155552671")
    return _by_length(original, compact.removeprefix("0"), trunk=compact.startswith("0"))


def _by_length(original: str, digits: str, *, trunk: bool) -> Numero:
    """55 is a DDD in 10 or 11 digits and the country in 12 or 13; `trunk`: a 0 stood before, a CSP may follow it."""
    if len(digits) in (12, 13) and digits.startswith("55"):
        return _national(original, digits[2:].removeprefix("0"))
    if trunk and len(digits) in (12, 13) and not digits.startswith(("0", "90")):
        return _national(original, digits[2:])
    if len(digits) == 9 and trunk and digits.startswith("800"):
        return _national(original, digits)
    if len(digits) == 8 and not trunk and _SPECIAL[2][1].fullmatch(digits):
        return _national(original, digits)
    if not trunk and len(digits) in (8, 9):
        raise NumeroInvalido("falta o DDD: informe DDD + número, por exemplo 4832830151")
    if len(digits) not in (10, 11):
        raise NumeroInvalido(_FORMATO)
    return _national(original, digits)


def _national(original: str, digits: str) -> Numero:
    for classe, pattern in _SPECIAL:
        if pattern.fullmatch(digits):
            return Numero(original, f"+55{digits}", "fixo", classe)
    if _MOVEL.fullmatch(digits):
        return Numero(original, f"+55{digits}", "movel", "movel")
    if _FIXO.fullmatch(digits):
        return Numero(original, f"+55{digits}", "fixo", "fixo")
    if len(digits) == 10 and digits[2] in "689":
        raise NumeroInvalido("celulares têm 9 dígitos depois do DDD: acrescente o 9, como em 11912341234")
    raise NumeroInvalido(_FORMATO)


def _international(original: str, digits: str) -> Numero:
    if digits.startswith("55"):
        return _national(original, digits[2:].removeprefix("0"))
    if not 8 <= len(digits) <= 15 or digits.startswith("0"):
        raise NumeroInvalido("depois do + informe o código do país e o número, de 8 a 15 dígitos")
    return Numero(original, f"+{digits}", "fixo", "internacional")
