"""Gets the engine onto this machine: `ensure_engine`, called by the wiring at start and by `telefonista engine`.

Debian's own packages are resolved, downloaded and verified by apt in private directories, and unpacked into the cache;
nothing is installed, no root is needed. Options of apt 2.6 and 3.0.
"""

import asyncio
import fcntl
import json
import os
import platform
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import structlog

from telefonista.engine.asterisk.mirror import debian_keyring, debian_mirrors
from telefonista.engine.asterisk.tree import EngineTree, InstallError, machine_tree, private_tree, through_loader

__all__ = ["EngineTree", "InstallError", "Progress", "ensure_engine"]

RECIPE = 1
"""Raised when the tree's content must change; each recipe has a directory of its own, so a running engine keeps its."""
SUITE = "forky"
PACKAGES = ("asterisk", "espeak-ng")
FREE_BYTES = 600_000_000
STAMP = "telefonista.json"
UNNEEDED = ("doc", "man", "locale", "info", "lintian", "perl", "perl5", "X11", "snmp", "bash-completion")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

Progress = Callable[[str, float | None], None]
"""Called with a Portuguese sentence and how much is done, 0 to 1 (None: not known)."""

log = structlog.get_logger(__name__)


async def ensure_engine(cache: Path, *, asterisk: Path | None, progress: Progress) -> EngineTree:
    """The engine of `cache`, installing it first if it is not there; or the machine's own program `asterisk`.

    Safe against a kill at any moment and against other processes doing the same. Raises InstallError.
    """
    if asterisk is not None:
        return await asyncio.to_thread(machine_tree, asterisk)
    architecture = _architecture()
    final = _place(cache, architecture)
    cache = final.parent
    if (final / STAMP).is_file():
        return await asyncio.to_thread(private_tree, final)
    try:
        os.makedirs(cache, exist_ok=True)
        async with _locked(cache / ".motor.lock", progress):
            if not (final / STAMP).is_file():
                await _install(cache, final, architecture, progress)
    except OSError as problem:
        raise InstallError(f"Não consegui gravar o motor em {cache}: {problem.strerror or problem}.") from problem
    return await asyncio.to_thread(private_tree, final)


def _place(cache: Path, architecture: str) -> Path:
    return cache.absolute() / f"motor-{RECIPE}-{architecture}"


def _architecture() -> str:
    machine = platform.machine().lower()
    if platform.system() != "Linux" or machine not in _ARCHITECTURES:
        raise InstallError(
            f"O motor roda em Linux amd64 ou arm64; esta máquina é {platform.system()} {machine}. "
            "Use outra máquina, ou instale um Asterisk 20 ou mais novo e aponte TELEFONISTA_ASTERISK para ele."
        )
    return _ARCHITECTURES[machine]


async def ensure_tool(cache: Path, package: str, program: str, *, progress: Progress) -> tuple[str, ...]:
    """The argv that runs a program of one Debian package, had the same private way as the engine (for benchmarks)."""
    architecture = _architecture()
    final = _place(cache, architecture).with_name(f"{package}-{RECIPE}-{architecture}")
    async with _locked(final.parent / ".motor.lock", progress):
        if not final.is_dir():
            await _install(final.parent, final, architecture, progress, (package,), lambda root, _, to: root.rename(to))
    return through_loader(final, program)


async def _install(
    cache: Path,
    final: Path,
    architecture: str,
    progress: Progress,
    wanted: tuple[str, ...] = PACKAGES,
    finish: Callable[[Path, list[Path], Path], object] | None = None,
) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise InstallError(
                f"Falta o programa {tool}, de um Debian ou derivado, que baixa o motor. Instale-o, ou instale um "
                "Asterisk 20 ou mais novo e aponte TELEFONISTA_ASTERISK para ele."
            )
    keyring, mirrors = debian_keyring(), debian_mirrors()
    await asyncio.to_thread(_sweep, cache, final)
    if shutil.disk_usage(cache).free < FREE_BYTES:
        raise InstallError(_no_space(cache))
    work = Path(tempfile.mkdtemp(prefix=".motor-", dir=cache))
    try:
        apt = work / "apt"
        configuration = _private_apt(apt, architecture)
        await _update(configuration, apt / "etc/sources.list", keyring, mirrors, progress)
        await _apt(configuration, "install", "-y", "--download-only", *wanted, on=_share(progress, "Baixando o motor"))
        packages = sorted((apt / "cache/archives").glob("*.deb"))
        root = work / "root"
        root.mkdir(mode=0o755)
        for number, package in enumerate(packages):
            progress("Desempacotando o motor", 0.7 + 0.28 * number / len(packages))
            await _run("dpkg-deb", "-x", str(package), str(root))
        progress("Conferindo o motor", 0.98)
        await asyncio.to_thread(finish or _finish, root, packages, final)
        progress("Motor instalado", 1.0)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(cache: Path, final: Path) -> None:
    """Remove what a killed install left; we hold the lock, so nobody works in it."""
    for left in [*cache.glob(".motor-?*/"), final]:
        shutil.rmtree(left, ignore_errors=True)


def _finish(root: Path, packages: list[Path], final: Path) -> None:
    """Prove that the unpacked engine runs, then put it in place with its stamp, all at once."""
    for name in UNNEEDED:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    for perl in (root / "usr/lib").glob("*/perl*"):
        shutil.rmtree(perl, ignore_errors=True)
    names = [unquote(path.name).split("_") for path in packages]
    stamp = {
        "receita": RECIPE,
        "motor": private_tree(root).version,
        "pacotes": {name[0]: name[1] for name in names if name[0] in PACKAGES},
    }
    (root / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
    os.sync()
    root.rename(final)


async def _update(configuration: Path, sources: Path, keyring: Path, mirrors: list[str], progress: Progress) -> None:
    """Read the package lists of the first mirror that has them."""
    on = _share(progress, "Procurando o motor nos espelhos do Debian", first=0.0, last=0.1)
    for number, mirror in enumerate(mirrors, 1):
        _choose(sources, keyring, mirror)
        try:
            try:
                await _apt(configuration, "update", on=on)
            except _Expired:
                log.warning("debian_mirror_expired", mirror=_public(mirror), suite=SUITE)
                await _apt(configuration, "-o", "Acquire::Check-Valid-Until=false", "update", on=on)
            return
        except InstallError:
            if number == len(mirrors):
                raise


def _choose(sources: Path, keyring: Path, mirror: str) -> None:
    sources.write_text(f"deb [signed-by={keyring}] {mirror} {SUITE} main\n")


class _Expired(InstallError):
    """The only thing wrong with the mirror is that its signed Release file is past its date."""


def _private_apt(directory: Path, architecture: str) -> Path:
    """Make apt's private directories; returns the configuration file that keeps it inside them."""
    for name in ("etc/preferences.d", "etc/trusted.gpg.d", "state/lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    (directory / "state/status").touch()
    hooks = ("Update::Pre-Invoke", "Update::Post-Invoke", "Update::Post-Invoke-Success")
    options = {
        "Dir::Etc": f"{directory}/etc",
        "Dir::Etc::sourcelist": f"{directory}/etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": f"{directory}/state",
        "Dir::State::status": f"{directory}/state/status",
        "Dir::Cache": f"{directory}/cache",
        "Dir::Cache::archives": "archives/",
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Default-Release": "",
        "APT::Install-Recommends": "0",
        "APT::Install-Suggests": "0",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
        "APT::Get::AllowUnauthenticated": "0",
        "Acquire::AllowInsecureRepositories": "0",
        "Acquire::AllowWeakRepositories": "0",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        "Debug::NoLocking": "1",
    }
    cleared = ["APT::Architectures", *(f"APT::{hook}" for hook in hooks)]
    cleared += ["DPkg::Pre-Invoke", "DPkg::Post-Invoke", "DPkg::Pre-Install-Pkgs"]
    lines = [f"#clear {name};" for name in cleared] + [f'{name} "{value}";' for name, value in options.items()]
    path = directory / "etc/telefonista.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


async def _apt(configuration: Path, *args: str, on: Callable[[float], None]) -> None:
    """Run apt-get; `on` hears the share downloaded, 0 to 1, from apt's status lines (`dlstatus:item:percent:text`)."""
    reading, writing = os.pipe()
    try:
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading))

        async def listen() -> None:
            async for line in stream:
                kind, *rest = line.decode("utf-8", "replace").split(":")
                if kind == "dlstatus" and len(rest) > 1:
                    with suppress(ValueError):
                        on(min(float(rest[1]) / 100, 1.0))

        listening = asyncio.create_task(listen(), name="apt-status")
        try:
            option = f"APT::Status-Fd={writing}"
            await _run("apt-get", "-c", str(configuration), "-o", option, *args, status=writing)
            os.close(writing)
            writing = -1
            await listening
        finally:
            listening.cancel()
            transport.close()
    finally:
        if writing >= 0:
            os.close(writing)


async def _run(*argv: str, status: int | None = None) -> None:
    """Run to its end and raise InstallError when it fails; killed with its children when we are cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=() if status is None else (status,),
        start_new_session=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        raise explain(output.decode("utf-8", "replace"))


def explain(output: str) -> InstallError:
    """What apt or dpkg-deb wrote (LC_ALL=C) as one Portuguese sentence that says what to do."""
    problems = [line for line in output.splitlines() if line.startswith(("E:", "W:", "Err:", "dpkg-deb: error"))]
    serious = [line for line in problems if line.startswith("E:")]
    text = "\n".join(problems) or output

    def said(*words: str) -> bool:
        return any(re.search(word, text, re.IGNORECASE) for word in words)

    if serious and all("is expired" in line for line in serious):
        return _Expired("O espelho do Debian desta máquina está parado no tempo; troque o espelho do apt.")
    if said("No space left", "enough free space"):
        return InstallError(_no_space(Path("~/.cache")))
    if said("is not valid yet"):
        return InstallError("O relógio desta máquina está atrasado: acerte a data e a hora e tente de novo.")
    if said("NO_PUBKEY", "not signed", "signature", "gpgv", "sqv"):
        return InstallError(
            "A assinatura do espelho do Debian não confere: atualize o pacote debian-archive-keyring e tente de novo."
        )
    if said("resolv", "Could not connect", "timed out", "unreachable", "refused", "Connection failed"):
        return InstallError("Não alcancei o espelho do Debian desta máquina: confira a internet (ou o proxy do apt).")
    if said("does not have a Release file", "404 +Not Found", "Unable to locate", "no installation candidate"):
        return InstallError(f"O espelho do Debian desta máquina não tem o {SUITE}: use no apt um espelho completo.")
    last = (serious or problems or output.strip().splitlines() or ["sem explicação"])[-1]
    return InstallError(f"A instalação do motor falhou: {last}")


def _no_space(cache: Path) -> str:
    return f"Falta espaço em disco: o motor precisa de 600 MB livres em {cache}. Libere espaço e tente de novo."


def _public(mirror: str) -> str:
    return re.sub(r"//[^/@]*@", "//", mirror)


def _share(progress: Progress, text: str, *, first: float = 0.1, last: float = 0.7) -> Callable[[float], None]:
    progress(text, first)
    return lambda done: progress(text, first + (last - first) * done)


@asynccontextmanager
async def _locked(path: Path, progress: Progress) -> AsyncIterator[None]:
    """Hold the lock file; it frees itself when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Outro processo está instalando o motor; esperando por ele", None)
            await _granted(descriptor)
        yield
    finally:
        os.close(descriptor)


async def _granted(descriptor: int) -> None:
    """Wait for the lock in a daemon thread: asyncio's own threads would hold up a Ctrl-C until the other is done."""
    loop = asyncio.get_running_loop()
    granted = asyncio.Event()

    def wait() -> None:
        with suppress(OSError, RuntimeError):  # we left meanwhile, or the loop did
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            loop.call_soon_threadsafe(granted.set)

    threading.Thread(target=wait, name="motor-lock", daemon=True).start()
    await granted.wait()
