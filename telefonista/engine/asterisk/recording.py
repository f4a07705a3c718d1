"""Recordings by the engine's MixMonitor: two mono WAVs kept in step on one leg, written by the engine alone."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from asyncinotify import Inotify, Mask

from telefonista.engine.asterisk import ctl
from telefonista.engine.asterisk.legs import AriLeg
from telefonista.engine.asterisk.switch import Switch
from telefonista.engine.port import EngineError, HungUp

_HEADER = 44


class MixRecording:
    """The two files of one recording."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.heard, self.said = folder / f"{name}-heard.wav", folder / f"{name}-said.wav"

    async def closed(self, within: float) -> None:
        with Inotify() as watch:
            watch.add_watch(self.heard.parent, Mask.CLOSE_WRITE)
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while not (_complete(self.heard) and _complete(self.said)):
                        await watch.get()


def _complete(path: Path) -> bool:
    """Whether the engine has closed a WAV: it writes the sizes, 0 at first, into the header last (22.10.1)."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
            return 0 < int.from_bytes(head[40:44], "little") == path.stat().st_size - _HEADER
    except FileNotFoundError:
        return False


@asynccontextmanager
async def record(
    switch: Switch, socket: Path, leg: AriLeg, files: MixRecording, *, running: bool
) -> AsyncIterator[MixRecording]:
    """See Engine.record. MixMonitor is not in ARI: it is started by the engine's own console.

    It keeps a two-party bridge simple and costs a third of a bridge recording (22.10.1).
    """
    variable = "TEL_MIX_" + re.sub(r"\W", "_", files.name)
    if not running:
        start = f"mixmonitor start {leg.name} ,r({files.said})t({files.heard})i({variable})"
        try:
            problem = (await ctl.command(socket, start)).strip()  # it says nothing when it starts
        except ctl.CtlError as error:
            problem = str(error)
        if problem:
            await asyncio.wait({leg.gone}, timeout=1.0)
            if leg.gone.done():
                raise leg.gone.result()
            raise EngineError(f"recording {leg.id}: {problem}")
    try:
        yield files
    finally:
        if not leg.gone.done():
            switch.spawn(_stop(socket, leg, variable), f"stop recording {leg.id}")


async def _stop(socket: Path, leg: AriLeg, variable: str) -> None:
    """End this recording and no other on the leg: the engine kept its id in a variable of the channel."""
    with suppress(EngineError, HungUp, ctl.CtlError):
        id = (await leg.command("GET", "/variable", variable=variable))["value"]
        await ctl.command(socket, f"mixmonitor stop {leg.name} {id}")
