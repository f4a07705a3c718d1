"""`telefonista stop`: ends the server of a HOME and then its engine, from another terminal."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from telefonista.engine.asterisk import state
from telefonista.engine.asterisk.pid import Watched
from telefonista.presence import NOTE, Server, starting_or_serving
from telefonista.refusal import Refusal

LONGER = 15.0
"""Seconds that a server has to end its engine and close its files, beyond the wait for calls in progress."""

Say = Callable[[str], None]


async def stop(home: Path, drain_seconds: int, say: Say, longer: float = LONGER) -> bool:
    """End what runs in this HOME and say what was done, in Portuguese; False when nothing ran.

    The server waits up to its own `drain_seconds` for calls in progress; `longer` seconds after that it is killed.
    """
    directory = home / "motor"
    engine = state.status(directory)
    server = starting_or_serving(home)
    ended = False
    if server is not None:
        ended = await _end_server(server, max(server.drain_seconds, drain_seconds) + longer, say)
    (home / NOTE).unlink(missing_ok=True)  # a killed server leaves it
    left = state.status(directory)  # the server's own, unless it died first or its supervisor made another
    if left is not None:
        await state.stop_engine(directory)
    if engine := left or engine:
        say(f"Motor (pid {engine.pid}) encerrado.")
    elif not ended:
        say(f"Nada em execução em {home}.")
    return ended or engine is not None


async def _end_server(server: Server, within: float, say: Say) -> bool:
    watched = Watched.of(server.pid, server.started)
    if watched is None:
        return False
    began = time.monotonic()
    say(f"Encerrando o servidor (pid {server.pid}); chamadas em curso têm até {server.drain_seconds} s.")
    try:
        watched.send(signal.SIGTERM)
        async with asyncio.timeout(within):
            await watched.dead.wait()
    except PermissionError:
        raise StopRefused(
            f"O servidor (pid {server.pid}) é de outro usuário: rode `telefonista stop` como ele, ou como root."
        ) from None
    except TimeoutError:
        say(f"O servidor não terminou em {within:.0f} s; encerro à força.")
        await watched.end(0)
    finally:
        watched.close()
    say(f"Servidor encerrado em {time.monotonic() - began:.1f} s.".replace(".", ",", 1))
    return True


class StopRefused(Refusal):
    """The server may not be ended by us; the text says why and what to do, in Portuguese."""
