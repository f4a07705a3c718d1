"""Where an engine's program, modules and data are; made by install, read by conf, process and rede."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST_MAJOR = 20
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_LOADERS = (
    "usr/lib64/ld-linux-x86-64.so.2",
    "usr/lib/ld-linux-aarch64.so.1",
    "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
)


class InstallError(Exception):
    """The engine cannot be had on this machine; the message is a Portuguese sentence saying what to do."""


@dataclass(frozen=True)
class EngineTree:
    """An engine that can be started: `command` is the argv prefix, before any option of Asterisk."""

    command: tuple[str, ...]
    version: str
    modules: Path
    data: Path
    varlib: Path
    root: Path | None = None
    """The unpacked private tree; None when the program belongs to the machine."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def espeak(self, *args: str) -> tuple[str, ...]:
        """The argv that runs espeak-ng with `args`; InstallError when this engine comes without one."""
        if self.root is not None:
            return (*through_loader(self.root, "usr/bin/espeak-ng"), f"--path={_libraries(self.root)[0]}", *args)
        program = shutil.which("espeak-ng")
        if program is None:
            raise InstallError("Falta o programa espeak-ng: instale-o (apt-get install espeak-ng) e tente de novo.")
        return (program, *args)

    def has_module(self, name: str) -> bool:
        return (self.modules / f"{name}.so").is_file()


def private_tree(root: Path) -> EngineTree:
    """The engine unpacked in `root` (absolute). It runs through its own loader, beside any libc of the machine."""
    command = through_loader(root, "usr/sbin/asterisk")
    return EngineTree(
        command=command,
        version=_version(command),
        modules=_libraries(root)[0] / "asterisk/modules",
        data=root / "usr/share/asterisk",
        varlib=root / "var/lib/asterisk",
        root=root,
    )


def machine_tree(program: Path) -> EngineTree:
    """The machine's own Asterisk; InstallError when it is absent, older than 20, or its modules are not found."""
    found = shutil.which(str(program))
    if found is None:
        raise InstallError(f"TELEFONISTA_ASTERISK aponta para {program}, que não é um programa executável.")
    version = _version((found,))
    prefix = Path(found).resolve().parent.parent
    places = [prefix, Path("/usr"), Path("/usr/local")]
    libs = ["lib/*-linux-gnu/asterisk/modules", "lib64/asterisk/modules", "lib/asterisk/modules"]
    modules = next((path for place in places for lib in libs for path in place.glob(lib)), None)
    shares = [prefix / "share/asterisk", Path("/usr/share/asterisk"), Path("/var/lib/asterisk")]
    data = next((path for path in shares if (path / "documentation").is_dir()), None)
    if modules is None or data is None:
        raise InstallError(f"O Asterisk de {found} está incompleto: não achei seus módulos ou sua documentação.")
    tree = EngineTree((found,), version, modules, data, Path("/var/lib/asterisk"))
    if tree.major < OLDEST_MAJOR:
        raise InstallError(
            f"O Asterisk de {found} é o {version}; é preciso o {OLDEST_MAJOR} ou mais novo. "
            "Tire TELEFONISTA_ASTERISK para usar o motor que o telefonista instala."
        )
    return tree


def _version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*command, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise InstallError(f"O motor não roda nesta máquina: {problem}.") from problem
    found = re.match(r"Asterisk (?:certified[/-])?(\d+\.[0-9.]+)", done.stdout)
    if found is None:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InstallError(f"O motor não diz sua versão: {''.join(last) or 'sem resposta'}.")
    return found[1].rstrip(".")


def through_loader(root: Path, program: str) -> tuple[str, ...]:
    loader = next((root / name for name in _LOADERS if (root / name).exists()), None)
    if loader is None or not (root / program).is_file():
        raise InstallError(f"O motor em {root} está incompleto; apague essa pasta e tente de novo.")
    return (str(loader), "--library-path", ":".join(map(str, _libraries(root))), str(root / program))


def _libraries(root: Path) -> tuple[Path, Path, Path]:
    base = next((path for name in TRIPLETS.values() if (path := root / "usr/lib" / name).is_dir()), root / "usr/lib")
    # Debian's libpulse (needed by espeak-ng) finds libpulsecommon by an absolute RUNPATH, which is not in the tree.
    return base, base / "asterisk", base / "pulseaudio"
