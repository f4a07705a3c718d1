"""The only wiring: settings -> storage -> engine -> runner -> routes. Nothing else imports the Asterisk engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from fastapi import FastAPI

from telefonista import __version__
from telefonista.audio import tell as audio_tell
from telefonista.audio.fila import Casa as CasaDaFila
from telefonista.audio.fila import Fila
from telefonista.audio.http import Audios
from telefonista.audio.http import router as audio
from telefonista.audio.resume import Resumer as AudioResumer
from telefonista.bina.http import router as bina
from telefonista.calling.capacity import Gates
from telefonista.calling.house import House
from telefonista.calling.records import by_recurso
from telefonista.calling.recovery import Resumer, recover
from telefonista.calling.run import Runner
from telefonista.calling.sounds import Sounds
from telefonista.chamada.avaliacao import router as avaliacao
from telefonista.chamada.escuta import router as escuta
from telefonista.chamada.http import router as chamada
from telefonista.chamada.keypad import Keypad
from telefonista.chamada.queries import limits_of
from telefonista.chamada.refer import Transfers
from telefonista.chamada.report import router as report
from telefonista.chamada.schedule import Agenda
from telefonista.chamada.story import router as story
from telefonista.chamada.tell import tellers
from telefonista.chamada.transfer import router as transfer
from telefonista.conferencia.calls import CODE as SALA
from telefonista.conferencia.door import Door
from telefonista.conferencia.flow import Doorman
from telefonista.conferencia.http import Conferencias
from telefonista.conferencia.http import router as conferencia
from telefonista.conferencia.resume import Resumer as ConferenciaResumer
from telefonista.conferencia.rooms import Rooms, make_tones
from telefonista.conferencia.sweep import Sweeper
from telefonista.conferencia.tell import Herald
from telefonista.conta import queries as contas
from telefonista.dialect import handlers
from telefonista.dialect.envelope import RESPOSTAS
from telefonista.docs import router as docs
from telefonista.engine.asterisk.engine import AsteriskEngine
from telefonista.engine.asterisk.install import ensure_engine
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.process import EngineProcess
from telefonista.engine.asterisk.rede import render_notices, render_sounds
from telefonista.engine.asterisk.tree import InstallError
from telefonista.gravacao.control import router as gravacao_control
from telefonista.gravacao.convert import Converter
from telefonista.gravacao.http import router as gravacao
from telefonista.gravacao.purge import Purger
from telefonista.housekeeping import keep_house
from telefonista.net.guarded import Guarded
from telefonista.outbox.deliver import Deliverer
from telefonista.ramal import accounts
from telefonista.ramal.guard import Guard
from telefonista.ramal.http import router as ramal
from telefonista.saude import Metered
from telefonista.saude import router as saude
from telefonista.settings import Settings
from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage
from telefonista.tronco import door
from telefonista.tronco.carriers import Carriers
from telefonista.tronco.http import Operador
from telefonista.tronco.http import router as operador
from telefonista.webhook.http import router as webhook

log = structlog.get_logger()

Progress = Callable[[str, float | None], None]


def instance_of(settings: Settings) -> Instance:
    """The engine's place in HOME."""
    return Instance(
        settings.home / "motor",
        settings.sip_host,
        settings.sip_port,
        settings.rtp_ports,
        external_ip=settings.external_ip or None,
        test_network=settings.test_network,
    )


@dataclass(frozen=True)
class Product:
    """Everything running, and what the command line needs of it."""

    house: House
    operador: Operador
    stop_engine: Callable[[], Awaitable[None]]
    webhook_changed: Callable[[int], None] = lambda conta_id: None
    audios: Audios | None = None
    conferencias: Conferencias | None = None


def make_app(product: Product) -> FastAPI:
    """The API over a running house."""
    app = FastAPI(
        title="telefonista",
        version=__version__,
        description="A API de voz: chamadas, gravações, ramais. Envie o token da conta em `Access-Token`.",
        docs_url=None,  # FastAPI's own page needs a CDN
        redoc_url=None,
        responses=RESPOSTAS,
    )
    app.state.house, app.state.operador = product.house, product.operador
    app.state.webhook_changed, app.state.audios = product.webhook_changed, product.audios
    app.state.conferencias = product.conferencias
    for router in (
        audio,
        bina,
        conferencia,
        gravacao,
        gravacao_control,
        escuta,
        transfer,
        avaliacao,
        report,
        story,
        chamada,
        ramal,
        webhook,
        operador,
        saude,
        docs,
    ):
        app.include_router(router)
    app.add_middleware(Metered)
    handlers.install(app)
    return app


@asynccontextmanager
async def open_house(settings: Settings, progress: Progress) -> AsyncIterator[Product]:
    """Everything running: database migrated, engine up or adopted, calls under way taken up again.

    Leaving lets the engine live; the caller ends it with `stop_engine` when it is to end.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    progress("banco de dados", None)
    await asyncio.to_thread(migrate, settings.database)
    storage = Storage(settings.database)
    try:
        await storage.write(contas.ensure_first, first_token(settings), settings.test_credit, datetime.now(UTC))
        async with _engine(settings, progress) as engine, AsyncExitStack() as stack:
            gates = Gates(settings.trunk_wait_seconds)
            http = Guarded(internal=settings.internal_urls)
            stack.push_async_callback(http.close)
            deliverer = Deliverer(storage, http)
            of_audio = audio_tell.tellers(settings.base_url, deliverer.nudge)
            rooms = Rooms(engine, make_tones(engine.sounds / "conferencia") if settings.conference_tones else None)
            herald = Herald(storage, settings.base_url, deliverer.nudge, rooms.talking)
            rooms.told = herald.talks
            doorman = Doorman(rooms, storage, engine.sounds / "avisos")
            told = by_recurso(
                {"audio": of_audio, "conferencia": herald.tellers()}, tellers(settings.base_url, deliverer.nudge)
            )
            runner = Runner(engine, storage, gates, told)
            converter = Converter(storage, engine, settings.recordings)
            agenda = Agenda(storage, engine, runner, gates, limits_of(settings), per_second=settings.calls_per_second)
            house = House(
                settings,
                storage,
                engine,
                runner,
                sounds=engine.sounds,
                recorded=converter.nudge,
                scheduled=agenda.changed,
            )
            audios = _audios(house, gates, http)
            resumers: dict[str, Resumer] = {
                "audio": AudioResumer(storage, runner),
                "conferencia": ConferenciaResumer(doorman, runner),
            }
            carriers = Carriers(storage, engine, gates)
            guard = Guard(storage, engine.block)
            purger = Purger(storage, engine, settings.recordings, instance_of(settings).recording)

            async def on_up() -> None:
                await recover(engine, storage, runner, resumers)
                await guard.engine_up()
                await carriers.push_all()
                await accounts.push_all(house)
                for wake in (agenda.wake, audios.fila.wake):
                    asyncio.get_running_loop().call_soon(wake)  # the engine says it is alive after this

            runner.on_finished = lambda chamada_id: converter.nudge()
            engine.on_up(on_up)
            engine.on_incoming(Keypad(house, engine.sounds, {SALA: Door(house, doorman)}))
            engine.on_suspect(guard.suspect)
            engine.on_referral(Transfers(house))
            await guard.restore()
            await engine.start()
            for name, work in (
                ("gravacoes", converter.run()),
                ("retencao", purger.run()),
                ("faxina", keep_house(storage)),
                ("bloqueios", guard.run()),
                ("webhooks", deliverer.run()),
                ("agenda", agenda.run()),
                ("audios", audios.fila.run()),
                ("conferencias", Sweeper(herald).run()),
                ("sons", audios.fila.keep_sounds()),
            ):
                task = asyncio.create_task(work, name=name)
                task.add_done_callback(_must_not_end)
                stack.push_async_callback(_end, task)
            operator = Operador(door.make_key(settings.home), carriers)
            conferencias = Conferencias(doorman, herald, audios.sounds)
            yield Product(house, operator, engine.stop, deliverer.webhook_changed, audios, conferencias)
    finally:
        await storage.close()


def _audios(house: House, gates: Gates, http: Guarded) -> Audios:
    """Voice messages. Their queue hears of room in the trunks beside the agenda, which must have asked before."""
    sounds = Sounds(http, house.sounds / "audios")
    settings = house.settings
    casa = CasaDaFila(
        house.storage, house.engine, house.runner, gates, sounds, limits_of(settings), settings.calls_per_second
    )
    return Audios(sounds, Fila(casa))


def _must_not_end(task: "asyncio.Task[None]") -> None:
    """These tasks live as long as the product: one that ends by itself is a fault that somebody must hear of."""
    if not task.cancelled():
        log.error("a part of the product stopped", part=task.get_name(), exc_info=task.exception())


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def _engine(settings: Settings, progress: Progress) -> AsyncIterator[AsteriskEngine]:
    tree = await ensure_engine(settings.cache, asterisk=settings.asterisk, progress=progress)
    instance = instance_of(settings)
    instance.prepare()
    progress("avisos falados", None)
    try:
        await render_notices(tree.espeak, instance.sounds / "avisos")
    except InstallError as problem:  # a machine's own engine may come without espeak-ng: calls go without it
        log.warning("callers hear no notices", reason=str(problem))
    if settings.test_network:
        progress("rede de teste", None)
        await render_sounds(tree.espeak, instance.sounds)
    progress("motor", None)
    engine = AsteriskEngine(EngineProcess(instance, tree))
    try:
        yield engine
    finally:
        await engine.close()


def first_token(settings: Settings) -> str:
    """The first conta's token: from the settings, else made once and kept where only its owner reads it."""
    if settings.token:
        return settings.token
    file = settings.home / "token"
    if not file.exists():
        write_secret(file, contas.new_token())
    return file.read_text().strip()


def write_secret(file: Path, text: str) -> None:
    """A file that nobody else reads, from its first byte on."""
    file.touch(mode=0o600)
    file.write_text(text + "\n")
