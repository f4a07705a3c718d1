"""`telefonista tronco`: the operator's commands for trunks, on the database itself; a running server is told after."""

import asyncio
import getpass
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Concatenate, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

import cyclopts
from cyclopts import Parameter
from sqlalchemy.orm import Session

from telefonista.settings import Settings, SettingsError, load
from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage
from telefonista.storage.tables import Tronco
from telefonista.tronco import door, queries
from telefonista.tronco.rules import CLASSES, FORMATOS, NovoTronco, TroncoInvalido, check, split_classes

P = ParamSpec("P")
R = TypeVar("R")

SENHA = "TELEFONISTA_TRONCO_SENHA"

_STOPPED = "o servidor não está rodando: vale quando ele subir"

app = cyclopts.App(name="tronco", help="Troncos: as operadoras por onde saem as ligações externas.")


@app.command
def add(
    nome: Annotated[str, Parameter(help="Nome do tronco, à sua escolha.")],
    *,
    host: Annotated[str, Parameter(help="Endereço SIP da operadora, sem a porta.")],
    porta: Annotated[int, Parameter(help="Porta SIP da operadora.")] = 5060,
    transporte: Annotated[str, Parameter(help="udp ou tcp.")] = "udp",
    usuario: Annotated[
        str | None, Parameter(help=f"Usuário na operadora; a senha vem de {SENHA} ou é perguntada.")
    ] = None,
    registra: Annotated[bool, Parameter(help="Registrar-se na operadora; sem isto ela nos conhece pelo IP.")] = False,
    formato_numero: Annotated[str, Parameter(help=f"Como a operadora quer o número: {', '.join(FORMATOS)}.")] = (
        "nacional"
    ),
    bina: Annotated[str | None, Parameter(help="Número mostrado em toda ligação por este tronco.")] = None,
    canais: Annotated[int, Parameter(help="Ligações ao mesmo tempo.")] = 30,
    cps: Annotated[int, Parameter(help="Ligações novas por segundo.")] = 5,
    classes: Annotated[str, Parameter(help=f"Classes que atende, com vírgulas: {','.join(CLASSES)}.")] = "fixo,movel",
) -> None:
    """Cadastra um tronco."""
    settings = _settings()
    novo = NovoTronco(
        nome=nome,
        host=host,
        porta=porta,
        transporte=transporte.lower(),
        usuario=usuario,
        registra=registra,
        formato_numero=formato_numero,
        bina=bina,
        canais=canais,
        cps=cps,
        classes=split_classes(classes),
    )
    try:
        check(NovoTronco(**vars(novo) | {"senha": "x" if usuario else None}))  # before anybody types a senha
        novo = NovoTronco(**vars(novo) | {"senha": _read_senha() if usuario else None})
        _write(settings, queries.add_tronco, novo, datetime.now(UTC))
    except TroncoInvalido as error:
        _fail(str(error))
    _say(f"tronco {nome} cadastrado")
    _tell(settings, nome)


@app.command(name="list")
def list_() -> None:
    """Mostra os troncos e como estão."""
    settings = _settings()
    troncos = _write(settings, queries.list_troncos)
    if not troncos:
        _say("não há troncos: cadastre um com `telefonista tronco add`")
        return
    status = _ask(settings, "GET", "/troncos")
    rows: list[tuple[str, ...]] = [("NOME", "ENDEREÇO", "USUÁRIO", "CLASSES", "FORMATO", "CANAIS", "CPS", "ESTADO")]
    rows += [_row(tronco, (status or {}).get(tronco.nome, "servidor parado")) for tronco in troncos]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command
def remove(nome: Annotated[str, Parameter(help="Nome do tronco.")]) -> None:
    """Remove um tronco; as ligações em curso por ele continuam."""
    settings = _settings()
    try:
        _write(settings, queries.remove_tronco, nome)
    except queries.TroncoDesconhecido as error:
        _fail(str(error))
    _say(f"tronco {nome} removido")
    _tell(settings, None)


@app.command(name="test")
def probe(
    nome: Annotated[str, Parameter(help="Nome do tronco.")],
    numero: Annotated[str | None, Parameter(help="Mostra também como este número sairia; nada é chamado.")] = None,
) -> None:
    """Diz se a operadora responde e o que fazer se não responde."""
    settings = _settings()
    query = "" if numero is None else "?" + urlencode({"numero": numero})
    answer = _ask(settings, "GET", f"/troncos/{quote(nome, safe='')}/teste{query}")
    if answer is None:
        _fail("o servidor não está rodando: suba-o com `telefonista serve` e teste de novo")
    for line in answer["linhas"]:
        _say(line)
    if answer["status"] not in ("registrado", "alcancavel"):
        raise SystemExit(1)


def _row(tronco: Tronco, status: str) -> tuple[str, ...]:
    return (
        tronco.nome,
        f"{tronco.host}:{tronco.porta}/{tronco.transporte}",
        tronco.usuario or "-",
        tronco.classes,
        tronco.formato_numero,
        str(tronco.canais),
        str(tronco.cps),
        status,
    )


def _tell(settings: Settings, nome: str | None) -> None:
    """Have a running server take up the change."""
    status = _ask(settings, "POST", "/recarregar")
    if status is None:
        _say(_STOPPED)
    else:
        _say("o servidor já usa a mudança" + (f" ({nome}: {status[nome]})" if nome in status else ""))


def _ask(settings: Settings, method: str, path: str) -> Any:
    try:
        return door.ask(settings, method, path)
    except door.DoorError as error:
        _fail(str(error))


def _read_senha() -> str:
    """Never from an argument: everybody on the machine can read those."""
    if SENHA in os.environ:
        return os.environ[SENHA]
    if sys.stdin.isatty():
        return getpass.getpass("Senha na operadora: ")
    return sys.stdin.readline().rstrip("\r\n")


def _settings() -> Settings:
    try:
        return load()
    except SettingsError as error:
        _fail(f"Configuração inválida:\n{error}")


def _write(settings: Settings, unit: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a unit on the database, which is made if it is not there yet; the server may be running."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database)

    async def work() -> R:
        storage = Storage(settings.database)
        try:
            return await storage.write(unit, *args, **kwargs)
        finally:
            await storage.close()

    return asyncio.run(work())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _fail(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(2)
