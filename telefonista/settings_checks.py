"""What each kind of setting accepts: pydantic validators with Portuguese messages; for `settings` only."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _ports(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{4,5})\s*-\s*(\d{4,5})\s*", value, re.ASCII)
        if match is None:
            raise ValueError("use primeira-ultima, por exemplo 20000-20999")
        value = (int(match[1]), int(match[2]))
    first, last = value
    if not 1024 <= first <= last - 3 or last > 65535:
        raise ValueError("use primeira-ultima entre 1024 e 65535, com pelo menos 4 portas")
    return value


def _address(value: str) -> str:
    if value:
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise ValueError("use um endereço IPv4, por exemplo 192.168.0.10") from None
    return value


def _directory(value: Path) -> Path:
    path = value.expanduser().absolute()
    if os.path.exists(path) and not path.is_dir():
        raise ValueError("use uma pasta; este caminho é de um arquivo")
    return path


def _host(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        return value
    try:
        return str(ipaddress.IPv6Address(value))
    except ValueError:
        raise ValueError("use um endereço ou nome sem http:// nem porta, por exemplo 127.0.0.1 ou 0.0.0.0") from None


def _token(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9._~-]{8,200}", value):
        raise ValueError("use de 8 a 200 letras, algarismos, ponto, hífen, _ ou ~")
    return value


def _database(value: str) -> str:
    if value and not (_is_url(value, "postgresql+psycopg") or re.match("sqlite:///.", value)):
        raise ValueError("use sqlite:////caminho/do/arquivo ou postgresql+psycopg://usuario:senha@host/banco")
    return value


def _web(value: str) -> str:
    if value and not _is_url(value, "http", "https"):
        raise ValueError("use um endereço http:// ou https://")
    return value.rstrip("/")


def _is_url(value: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.netloc) and parts.port != 0
    except ValueError:
        return False


Ports = Annotated[tuple[int, int], NoDecode, BeforeValidator(_ports)]
Address = Annotated[str, AfterValidator(_address)]
Directory = Annotated[Path, AfterValidator(_directory)]
Host = Annotated[str, AfterValidator(_host)]
Token = Annotated[str, AfterValidator(_token)]
Database = Annotated[str, AfterValidator(_database)]
WebUrl = Annotated[str, AfterValidator(_web)]
