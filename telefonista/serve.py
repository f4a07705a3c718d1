"""`telefonista serve`: the house and its HTTP server, from the first progress line to the last goodbye."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from telefonista import presence
from telefonista.app import first_token, instance_of, make_app, open_house
from telefonista.calling.house import House
from telefonista.dialect.server import HttpProtocol
from telefonista.engine.asterisk.state import status, stop_engine
from telefonista.engine.rede import NUMEROS
from telefonista.settings import Settings

log = structlog.get_logger()

_LAST_ANSWERS = 3
"""Seconds that answers under way have at the end."""


class CannotServe(Exception):
    """The server cannot start; the text says why and what to do, in Portuguese."""


class _Server(uvicorn.Server):
    """uvicorn without signals of its own: the house decides when to stop."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext()


async def serve(settings: Settings) -> None:
    """Run until told to stop. First Ctrl-C: no new calls, those under way have some seconds; second: the end now."""
    try:
        with presence.serving(settings.home, settings.drain_seconds) as here:
            await _serve(settings, here)
    finally:
        # The loop's own handlers go before the process does: one more Ctrl-C must not spoil a clean end.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _serve(settings: Settings, here: presence.Presence) -> None:
    told = _Told()
    listener = _listen(settings)
    had_engine = status(instance_of(settings).directory) is not None
    with _progress() as progress:
        house_context = open_house(settings, progress)
        try:
            with told.cancelling():
                product = await house_context.__aenter__()
        except BaseException as problem:
            if not had_engine:  # one that was there before may have calls
                await stop_engine(instance_of(settings).directory)
            if isinstance(problem, _Interrupted):
                return
            raise
    try:
        config = uvicorn.Config(
            make_app(product),
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        here.ready()
        print(banner(settings), flush=True)
        await _until_told(product.house, settings, serving, told)
        server.should_exit = True
        await serving
        await product.stop_engine()
    finally:
        await house_context.__aexit__(*sys.exc_info())


class _Interrupted(Exception):
    """Told to stop before being ready."""


class _Told:
    """Counts Ctrl-C and SIGTERM: the first asks for the end, the second wants it now."""

    def __init__(self) -> None:
        self.asked, self.now = asyncio.Event(), asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        (self.now if self.asked.is_set() else self.asked).set()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """While inside, the first signal cancels this task, and _Interrupted comes out."""
        task = self._starting = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if task is None or not self.asked.is_set() or task.uncancel() > 0:
                raise
            raise _Interrupted from None
        finally:
            self._starting = None


async def _until_told(house: House, settings: Settings, serving: "asyncio.Task[None]", told: _Told) -> None:
    waiting = asyncio.ensure_future(told.asked.wait())
    await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    house.runner.draining = True
    active = house.runner.active()
    if active:
        _say(f"\n{active} chamada(s) em curso: aguardo até {settings.drain_seconds} s. Ctrl-C de novo encerra já.")
        drained = asyncio.ensure_future(house.runner.drain(settings.drain_seconds))
        hurried = asyncio.ensure_future(told.now.wait())
        await asyncio.wait({drained, hurried, serving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, hurried):
            task.cancel()
    _say("encerrando")
    await house.runner.end_all()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise CannotServe(
            f"A porta {settings.port} de {settings.host} não pode ser usada ({error.strerror}):"
            " escolha outra com TELEFONISTA_PORT ou veja quem a usa com `telefonista doctor`."
        ) from None
    listener.listen(1024)
    return listener


def banner(settings: Settings) -> str:
    """What a stranger needs for the first call."""
    token, url = first_token(settings), settings.base_url
    sip = f"{settings.sip_host}:{settings.sip_port}"
    lines = [
        "",
        f"  telefonista pronto em {url}   (documentação: {url}/docs)",
        f"  Access-Token: {token}",
        f"  dados em {settings.home}   SIP em {sip} (UDP e TCP)",
        "",
    ]
    if settings.test_network:
        lines.append("  Rede de teste (com 109 na frente, os mesmos como celular, p. ex. 10930000001):")
        lines += [f"    {numero}  {texto}" for numero, texto in NUMEROS.items()]
        lines += [
            "",
            "  Uma chamada gravada entre dois telefones:",
            f"  curl -X POST {url}/chamada -H 'Access-Token: {token}' \\",
            """    -d '{"numero_origem": "1030000021", "numero_destino": "1030000001", "gravar_audio": true}'""",
            "  e o que aconteceu com ela (troque o 1 pelo id):",
            f"  curl {url}/chamada/1 -H 'Access-Token: {token}'",
            "",
        ]
    lines.append("  Ctrl-C encerra.")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _progress:  # noqa: N801 - used as a function
    """A progress line on a terminal, one line a step elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("preparando", total=1.0)
        self._last = ""

    def __enter__(self) -> "_progress":
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def __call__(self, text: str, done: float | None) -> None:
        if not self._console.is_terminal and text != self._last:
            _say(f"preparando: {text}")
        self._last = text
        self._bar.update(self._task, description=text, completed=done or 0.0)
