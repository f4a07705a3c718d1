"""Starts the engine's program: ports free, files in place, no privileges, its own session; called by process only."""

import errno
import os
import random
import resource
import socket
import stat
import subprocess
from pathlib import Path

import structlog

from telefonista.engine.asterisk.conf.pjsip import REDE_ENTRADA, REDE_SAIDA
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.state import write_private
from telefonista.engine.asterisk.tree import EngineTree

NOBODY = 65534
OPEN_FILES = 20_000
"""Enough for about 1,000 two-leg recorded calls (19 idle, 11 a call, 6 a recorded bridge; measured on 22.10)."""

log = structlog.get_logger(__name__)


class EngineStartError(Exception):
    """The engine did not start; the message says why in Portuguese, with the end of its log where that helps."""


def spawn(inst: Instance, tree: EngineTree, files: dict[str, str]) -> int:
    """Write `files` into etc and start the engine detached from us; returns its pid.

    The caller watches and reaps it. EngineStartError when it cannot even begin.
    """
    check_ports(inst)
    nobody = _may_drop(inst, tree)
    mode = 0o640 if nobody else 0o600
    for name, text in files.items():
        write_private(inst.etc / name, text, mode)
    if nobody:
        _give(inst)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    output = os.open(inst.boot_log, flags, 0o600)
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)}
    try:
        # A child inherits our limits; changing ours for the moment of the fork avoids preexec_fn, unsafe with threads.
        hard = before[resource.RLIMIT_NOFILE][1]
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[resource.RLIMIT_CORE][1]))
        child = subprocess.Popen(
            [*tree.command, "-C", str(inst.etc / "asterisk.conf"), "-f", "-n"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ} | {"LC_ALL": "C.UTF-8"},
            umask=0o077,
            user=NOBODY if nobody else None,
            group=NOBODY if nobody else None,
            extra_groups=[] if nobody else None,
        )
    except OSError as problem:
        raise EngineStartError(f"O motor não pôde ser iniciado: {problem}.") from problem
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)
        os.close(output)
    child.returncode = 0  # it outlives this object on purpose; our Watched reaps it
    return child.pid


def free_port() -> int:
    """A loopback TCP port nobody listens on, below the range the kernel gives to outgoing connections."""
    for port in random.SystemRandom().sample(range(10_240, 32_768), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EngineStartError("Não achei uma porta livre em 127.0.0.1 para o comando do motor.")


def check_ports(inst: Instance) -> None:
    """EngineStartError when an address the engine listens on is taken: it would start all the same, and be deaf."""
    wanted = [(inst.sip_host, inst.sip_port, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    if inst.test_network:
        wanted += [(host, inst.rede_port, socket.SOCK_DGRAM) for host in (REDE_SAIDA, REDE_ENTRADA)]
    for host, port, kind in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as problem:
                raise EngineStartError(_taken(host, port, kind, problem)) from problem


def _taken(host: str, port: int, kind: int, problem: OSError) -> str:
    place = f"{host}:{port} ({'TCP' if kind == socket.SOCK_STREAM else 'UDP'})"
    if problem.errno == errno.EADDRINUSE:
        return f"O endereço SIP {place} já está em uso por outro programa: pare-o ou mude TELEFONISTA_SIP_PORT."
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"O endereço SIP {host} não é desta máquina: corrija TELEFONISTA_SIP_HOST."
    return f"Não posso usar o endereço SIP {place}: {problem.strerror}. Mude TELEFONISTA_SIP_HOST ou _SIP_PORT."


def _may_drop(inst: Instance, tree: EngineTree) -> bool:
    """Whether the engine can run as nobody: only root may choose, and nobody must reach its files."""
    if os.geteuid() != 0:
        return False
    reasons = [
        str(path)
        for path in (tree.modules, tree.data, Path(tree.command[0]).resolve(), inst.directory.parent)
        if not _reachable(path)
    ]
    if inst.sip_port < 1024:
        reasons.append(f"port {inst.sip_port}")
    if reasons:
        log.warning("engine_runs_as_root", because="nobody cannot use", what=reasons)
    return not reasons


def _reachable(path: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def _give(inst: Instance) -> None:
    """Let nobody write where the engine writes, and only read its configuration and sounds.

    The instance directory stays ours, so that motor.json cannot be forged by the engine's user.
    """
    inst.directory.chmod(0o711)
    for path in (inst.etc, inst.sounds, inst.sounds / "moh"):
        os.chown(path, -1, NOBODY)
        path.chmod(0o750)
    for path in inst.etc.iterdir():
        os.chown(path, -1, NOBODY, follow_symlinks=False)
    for top in (inst.run, inst.log, inst.spool, inst.db, inst.keys, inst.cache):
        if top.stat().st_uid == NOBODY:
            continue
        for directory, names, files in os.walk(top):
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), NOBODY, NOBODY, follow_symlinks=False)
        os.chown(top, NOBODY, NOBODY)
