"""`telefonista doctor`: what is wrong here and what to do about it, whether the server runs or not."""

import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from telefonista.app import instance_of
from telefonista.doctor import database, engine, environment, machine, network, ports, report, server
from telefonista.doctor.result import Check, Result, shielded
from telefonista.engine.asterisk.conf.pjsip import REDE_ENTRADA, REDE_SAIDA
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.state import Running, status
from telefonista.presence import answering, starting_or_serving
from telefonista.settings import Settings, SettingsError, load

NamedCheck = tuple[str, Check]


def run(*, json: bool) -> int:
    """Print every finding; 1 when any is an error, else 0."""
    results = examine()
    out = report.as_json(results) if json else report.text(results, colour=sys.stdout.isatty())
    sys.stdout.write(out + "\n")
    return 0 if report.healthy(results) else 1


def examine() -> list[Result]:
    """Run every check. Nothing is changed, installed or started."""
    checks: list[NamedCheck] = []
    try:
        settings = load()
    except SettingsError as problem:
        text = str(problem)
        checks.append(("configuração", lambda: environment.invalid(text)))
    else:
        checks.append(("configuração", lambda: environment.names(os.environ, Path(".env"))))
        checks += [*_house(settings), *_addresses(settings)]
    checks += [
        ("relógio", lambda: machine.clock(machine.synchronised())),
        ("fusos horários", machine.zones),
        ("usuário", lambda: machine.user(os.geteuid())),
    ]
    return [shielded(item, check) for item, check in checks]


def _house(settings: Settings) -> Sequence[NamedCheck]:
    home, url = settings.home, settings.database
    directory = home / "motor"
    running, serving, ready = status(directory), starting_or_serving(home), answering(home)
    checks: list[NamedCheck] = [
        ("servidor", lambda: server.server(serving, ready, _readyz(settings) if ready else None)),
        ("programa do motor", lambda: engine.program(settings.cache, settings.asterisk)),
        ("motor", lambda: engine.process(running, _pings(running), served=ready is not None)),
    ]
    if running is not None:
        there = running
        checks += [
            ("registro do motor", lambda: engine.log(directory / "log/motor.log", there.started_at)),
            ("ramais", lambda: engine.ramais(*engine.count_ramais(asyncio.run(engine.ask(there, "/endpoints"))))),
        ]
    return [
        *checks,
        ("banco de dados", lambda: database.tables(url)),
        ("endereços bloqueados", lambda: database.blocked(url, datetime.now(UTC))),
        ("pasta de dados", lambda: machine.home(home)),
        ("disco", lambda: machine.disk(home)),
    ]


def _addresses(settings: Settings) -> Sequence[NamedCheck]:
    home = settings.home
    processes = (status(home / "motor"), starting_or_serving(home))
    this = ports.Machine(ours=[process.pid for process in processes if process])
    instance = instance_of(settings)
    own = network.own_address()
    return [
        (
            "porta da API",
            lambda: ports.one("porta da API", "TELEFONISTA_", [("tcp", settings.host, settings.port)], this),
        ),
        ("portas SIP", lambda: ports.one("portas SIP", "TELEFONISTA_SIP_", _sip(instance), this)),
        ("portas RTP", lambda: ports.rtp(settings.sip_host, settings.rtp_ports, this)),
        ("caminho do áudio (RTP)", lambda: network.rtp(settings.sip_host)),
        ("endereço externo (NAT)", lambda: network.nat(settings.sip_host, settings.external_ip, own)),
    ]


def _sip(instance: Instance) -> list[ports.Wanted]:
    wanted: list[ports.Wanted] = [
        ("udp", instance.sip_host, instance.sip_port),
        ("tcp", instance.sip_host, instance.sip_port),
    ]
    if instance.test_network:
        wanted += [("udp", host, instance.rede_port) for host in (REDE_SAIDA, REDE_ENTRADA)]
    return wanted


def _pings(running: Running | None) -> bool:
    return running is not None and asyncio.run(engine.ask(running, "/asterisk/ping")) is not None


def _readyz(settings: Settings) -> tuple[int, str] | None:
    """Asked at the server's own address, not PUBLIC_URL: a proxy in between is another matter."""
    return asyncio.run(server.readyz(settings.model_copy(update={"public_url": ""}).base_url))
