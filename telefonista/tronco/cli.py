"""`telefonista tronco add|list|remove|test`: trunks on the database itself; a server that runs is told afterwards."""

import getpass
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import cyclopts

from telefonista.refusal import Refusal
from telefonista.settings import Settings, load
from telefonista.storage.direct import transaction
from telefonista.storage.tables import Tronco
from telefonista.tronco import queries
from telefonista.tronco.door import ask
from telefonista.tronco.rules import NovoTronco, check, split_classes

SENHA = "TELEFONISTA_TRONCO_SENHA"

app = cyclopts.App(name="tronco", help="Troncos: as operadoras por onde saem as ligações externas.")


class NotWorking(Refusal):
    """The trunk, or what is needed to look at it, is not well; the text says what to do."""


@app.command
def add(
    nome: str,
    /,
    *,
    host: str,
    porta: int = 5060,
    transporte: str = "udp",
    usuario: str | None = None,
    registra: bool = False,
    formato_numero: str = "nacional",
    bina: str | None = None,
    canais: int = 30,
    cps: int = 5,
    classes: str = "fixo,movel",
) -> str:
    """Cadastra um tronco, que vale na hora.

    A senha na operadora vem de TELEFONISTA_TRONCO_SENHA ou é perguntada; nunca de um argumento.

    Parameters
    ----------
    nome
        Como o tronco se chama, à sua escolha.
    host
        Endereço SIP da operadora, sem a porta.
    porta
        Porta SIP da operadora.
    transporte
        udp ou tcp.
    usuario
        Usuário na operadora.
    registra
        Registrar-se na operadora; sem isto ela nos conhece pelo IP.
    formato_numero
        Como a operadora quer o número: e164 (55...), e164+ (+55...), nacional (DDD + número) ou 0nacional.
    bina
        Número mostrado em toda ligação por este tronco.
    canais
        Quantas ligações ao mesmo tempo.
    cps
        Quantas ligações novas por segundo.
    classes
        O que ele atende, separado por vírgulas: fixo, movel, 0800, 0300, 4004, internacional.
    """
    settings = load()
    novo = NovoTronco(
        nome=nome,
        host=host,
        porta=porta,
        transporte=transporte.lower(),
        usuario=usuario,
        senha="ainda-por-vir" if usuario else None,
        registra=registra,
        formato_numero=formato_numero,
        bina=bina,
        canais=canais,
        cps=cps,
        classes=split_classes(classes),
    )
    check(novo)  # before anybody types a senha
    if usuario:
        novo = replace(novo, senha=_read_senha())
    with transaction(settings.database) as session:
        queries.add_tronco(session, novo, datetime.now(UTC))
    return f"Tronco {nome} cadastrado. {_tell(settings, nome)}"


@app.command(name="list")
def list_() -> str:
    """Mostra os troncos, na ordem em que são tentados, e como estão."""
    settings = load()
    with transaction(settings.database, writes=False) as session:
        troncos = queries.list_troncos(session)
    if not troncos:
        return "Ainda não há troncos: cadastre um com `telefonista tronco add`."
    status = ask(settings, "GET", "/troncos") or {}
    rows: list[tuple[str, ...]] = [
        ("nome", "endereço", "usuário", "classes", "formato", "canais", "cps", "estado"),
        *(_row(tronco, status.get(tronco.nome, "servidor parado")) for tronco in troncos),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


@app.command
def remove(nome: str, /) -> str:
    """Remove um tronco; as ligações em curso por ele continuam.

    Parameters
    ----------
    nome
        O nome do tronco, como `telefonista tronco list` o mostra.
    """
    settings = load()
    with transaction(settings.database) as session:
        queries.remove_tronco(session, nome)
    return f"Tronco {nome} removido. {_tell(settings)}"


@app.command(name="test")
def probe(nome: str, numero: str | None = None, /) -> str:
    """Diz se a operadora responde e o que fazer se não responde. Nada é chamado.

    Parameters
    ----------
    nome
        O nome do tronco.
    numero
        Mostra também como este número sairia.
    """
    query = "" if numero is None else "?" + urlencode({"numero": numero})
    answer = ask(load(), "GET", f"/troncos/{quote(nome, safe='')}/teste{query}")
    if answer is None:
        raise NotWorking("O servidor não está rodando: suba-o com `telefonista serve` e teste de novo.")
    text = "\n".join(answer["linhas"])
    if answer["status"] not in ("registrado", "alcancavel"):
        raise NotWorking(text)
    return text


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


def _tell(settings: Settings, nome: str = "") -> str:
    """Have a running server take up the change."""
    status = ask(settings, "POST", "/recarregar")
    if status is None:
        return "O servidor não está rodando: vale quando ele subir."
    return "O servidor já usa a mudança" + (f": {status[nome]}." if nome in status else ".")


def _read_senha() -> str:
    """Never from an argument: everybody on the machine can read those."""
    if SENHA in os.environ:
        return os.environ[SENHA]
    if sys.stdin.isatty():
        return getpass.getpass("Senha na operadora: ")
    return sys.stdin.readline().rstrip("\r\n")
