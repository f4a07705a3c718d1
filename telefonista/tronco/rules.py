"""What a trunk must be to be accepted, in words for the operator; for the commands and queries of tronco."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from telefonista.dialect.numbers import NumeroInvalido, classify
from telefonista.refusal import Refusal

CLASSES = ("fixo", "movel", "0800", "0300", "4004", "internacional")
FORMATOS = ("e164", "e164+", "nacional", "0nacional")
TRANSPORTES = ("udp", "tcp")
MAX_CANAIS, MAX_CPS = 10000, 1000

_NOME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# Both end up inside SIP addresses and headers.
_USUARIO = re.compile(r"[A-Za-z0-9._~!$&*+=-]{1,120}")
_SENHA = re.compile(r"[\x21-\x7e]{1,120}")


class TroncoInvalido(Refusal):
    """The trunk cannot be kept; the text names the field and says in Portuguese what is accepted."""


@dataclass(frozen=True)
class NovoTronco:
    """A trunk as asked for. `canais` at once, `cps` calls a second."""

    nome: str
    host: str
    porta: int = 5060
    transporte: str = "udp"
    usuario: str | None = None
    senha: str | None = field(default=None, repr=False)
    registra: bool = False
    formato_numero: str = "nacional"
    bina: str | None = None
    canais: int = 30
    cps: int = 5
    classes: tuple[str, ...] = ("fixo", "movel")


def check(novo: NovoTronco) -> None:
    """Raises TroncoInvalido for the first field that cannot be kept."""
    _require(_NOME.fullmatch(novo.nome), "nome", "use até 40 letras, algarismos, hífen ou _, por exemplo operadora1")
    _require(_is_host(novo.host), "host", "informe um endereço IP ou um nome como sip.operadora.com.br, sem a porta")
    _require(1 <= novo.porta <= 65535, "porta", "informe um número de 1 a 65535")
    _require(novo.transporte in TRANSPORTES, "transporte", f"use {_either(TRANSPORTES)}")
    if novo.usuario is not None:
        _require(_USUARIO.fullmatch(novo.usuario), "usuario", "informe só o usuário, sem espaços, acentos ou @host")
    if novo.senha is not None:
        _require(_SENHA.fullmatch(novo.senha), "senha", "use até 120 caracteres sem espaços nem acentos")
    if novo.registra:
        _require(novo.usuario, "usuario", "o registro na operadora precisa de --usuario")
        _require(novo.senha, "senha", "o registro na operadora precisa da senha, em TELEFONISTA_TRONCO_SENHA")
    _require(novo.formato_numero in FORMATOS, "formato-numero", f"use {_either(FORMATOS)}")
    if novo.bina is not None:
        _require(_is_outside_number(novo.bina), "bina", "informe DDD + número, por exemplo 4832830151")
    _require(1 <= novo.canais <= MAX_CANAIS, "canais", f"informe um número de 1 a {MAX_CANAIS}")
    _require(1 <= novo.cps <= MAX_CPS, "cps", f"informe um número de 1 a {MAX_CPS}")
    _require(novo.classes and set(novo.classes) <= set(CLASSES), "classes", f"use uma ou mais de {', '.join(CLASSES)}")


def split_classes(texto: str) -> tuple[str, ...]:
    """'fixo, movel' as its words, each once; móvel is movel."""
    words = (word.strip().lower().replace("ó", "o") for word in texto.split(","))
    return tuple(dict.fromkeys(word for word in words if word))


def _require(good: object, campo: str, aceito: str) -> None:
    if not good:
        raise TroncoInvalido(f"{campo} inválido: {aceito}")


def _is_host(texto: str) -> bool:
    try:
        ipaddress.IPv4Address(texto)
    except ValueError:
        labels = texto.removesuffix(".").split(".")
        return len(texto) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    return True


def _is_outside_number(texto: str) -> bool:
    try:
        return classify(texto).e164 is not None
    except NumeroInvalido:
        return False


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} ou {last}"
