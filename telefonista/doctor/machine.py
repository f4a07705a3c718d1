"""The machine itself: who runs us, disk, clock. Each check takes what it looks at and returns a Result."""

import ctypes
import os
import shutil
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from telefonista.doctor.result import Result, error, ok, warning

LOW_DISK = 1_000_000_000
NO_DISK = 100_000_000
ZONE = "America/Sao_Paulo"
_UNSYNCHRONISED = 0x0040
_MOST_ERROR = 16_000_000


def user(euid: int) -> Result:
    if euid == 0:
        return warning(
            "usuário",
            "rodando como root",
            "Não é preciso ser root: crie um usuário comum para a telefonista e rode-a com ele.",
        )
    return ok("usuário", "sem root")


def home(path: Path) -> Result:
    """Whether HOME can be written, or made."""
    there = _existing(path)
    if not os.access(there, os.W_OK | os.X_OK):
        return error(
            "pasta de dados", f"não posso gravar em {there}", "Corrija as permissões ou mude TELEFONISTA_HOME."
        )
    if there != path:
        return ok("pasta de dados", f"{path} ainda não existe; `telefonista serve` a cria")
    return ok("pasta de dados", f"{path} aceita gravação")


def disk(path: Path) -> Result:
    """Free space where HOME is or will be: recordings take about 15 MB an hour of call."""
    free = shutil.disk_usage(_existing(path)).free
    text = f"{free / 1e9:.1f} GB livres em {_existing(path)}".replace(".", ",", 1)
    todo = "Libere espaço: sem ele as chamadas não são gravadas nem registradas."
    if free < NO_DISK:
        return error("disco", text, todo)
    return warning("disco", text, todo) if free < LOW_DISK else ok("disco", text)


def clock(synchronised: bool | None) -> Result:
    """Call times and prices come from the machine's clock."""
    now = datetime.now(UTC).astimezone().strftime("%d/%m/%Y %H:%M:%S %z")
    if synchronised is None:
        return warning("relógio", f"{now}; não sei se está sincronizado", "Compare a hora com a de outra máquina.")
    if not synchronised:
        return warning(
            "relógio",
            f"{now}; não está sincronizado com a internet",
            "Ligue a sincronização (num contêiner, na máquina que o hospeda): `timedatectl set-ntp true`, ou o pacote "
            "chrony.",
        )
    return ok("relógio", f"{now}, sincronizado")


def synchronised() -> bool | None:
    """What the kernel knows of its clock, as timedatectl shows it: adjtimex(2) with modes 0. None when it tells not."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    # struct timex, 64 bits: modes @0, maxerror @24 (us), status @40
    timex = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    (most_error,), (status,) = struct.unpack_from("q", timex, 24), struct.unpack_from("i", timex, 40)
    return not status & _UNSYNCHRONISED and most_error < _MOST_ERROR


def zones(name: str = ZONE) -> Result:
    """Whether local times can be told: Brazil has no daylight saving time since 2019."""
    try:
        offset = datetime(2026, 1, 15, 12, tzinfo=ZoneInfo(name)).utcoffset()
    except ZoneInfoNotFoundError:
        return error("fusos horários", f"faltam os dados de {name}", "Instale o pacote tzdata.")
    if offset != timedelta(hours=-3):
        return error("fusos horários", f"os dados de {name} são antigos", "Atualize o pacote tzdata.")
    return ok("fusos horários", f"{name} conhecido")


def _existing(path: Path) -> Path:
    return next(part for part in (path, *path.parents) if os.path.isdir(part))
