"""The operator door of the server, /_operador: for the commands on the same machine, never for customers."""

import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from telefonista.calling.house import Casa
from telefonista.calling.routing import as_dialled
from telefonista.dialect.envelope import ok
from telefonista.dialect.errors import DialectError, Motivo, rota_inexistente
from telefonista.dialect.numbers import NumeroInvalido, classify
from telefonista.storage.tables import Tronco
from telefonista.tronco import queries
from telefonista.tronco.carriers import ENGINE_DOWN, UNKNOWN, Carriers
from telefonista.tronco.door import HEADER


@dataclass(frozen=True)
class Operador:
    """What the wiring puts into `app.state.operador`; without it the door does not exist."""

    key: str = field(repr=False)
    carriers: Carriers


def _operador(request: Request) -> Operador:
    operador: Operador | None = getattr(request.app.state, "operador", None)
    if operador is None:
        raise rota_inexistente()
    given = request.headers.get(HEADER, "")
    if not secrets.compare_digest(given.encode(), operador.key.encode()):
        raise DialectError(403, Motivo.TOKEN, "chave do operador ausente ou incorreta")
    return operador


async def _allowed(request: Request) -> Operador:
    return _operador(request)


Porta = Annotated[Operador, Depends(_allowed)]

router = APIRouter(prefix="/_operador", include_in_schema=False)


@router.post("/recarregar")
async def reload(porta: Porta) -> Response:
    """Take up changed trunks without a restart."""
    await porta.carriers.reload()
    return ok(await porta.carriers.status(), "troncos atualizados")


@router.get("/troncos")
async def status(porta: Porta) -> Response:
    return ok(await porta.carriers.status())


@router.get("/troncos/{nome}/teste")
async def probe(nome: str, porta: Porta, casa: Casa, numero: str | None = None) -> Response:
    """How a trunk is and, with `numero`, what would become of a call to it. No call is made."""
    try:
        tronco = await casa.storage.read(queries.tronco_by_nome, nome)
    except queries.TroncoDesconhecido as error:
        raise DialectError(404, Motivo.NAO_ENCONTRADO, str(error)) from None
    status = await porta.carriers.status_of(tronco)
    linhas = [in_words(tronco, status)]
    if numero is not None:
        linhas.append(await _number_in_words(casa, tronco, numero))
    return ok({"status": status, "linhas": linhas})


def in_words(tronco: Tronco, status: str) -> str:
    """A trunk's state and what to do about it, in Portuguese."""
    where = f"{tronco.host}:{tronco.porta} ({tronco.transporte.upper()})"
    if status == "sem registro" or (status == UNKNOWN and tronco.registra):
        return (
            f"{where} não aceitou o registro do usuário {tronco.usuario} até agora: confira usuário, senha e host"
            " e teste de novo em 20 segundos"
        )
    return {
        "registrado": f"{where} aceitou o registro do usuário {tronco.usuario}: o tronco está pronto",
        "alcancavel": f"{where} responde (OPTIONS): o tronco está pronto se a operadora conhece o nosso IP",
        "inalcancavel": f"{where} não responde (OPTIONS): confira host, porta, transporte e firewall",
        ENGINE_DOWN: "o motor não está de pé: veja `telefonista doctor`",
    }.get(status, f"ainda não se sabe se {where} responde: teste de novo em 20 segundos")


async def _number_in_words(casa: Casa, tronco: Tronco, texto: str) -> str:
    try:
        numero = classify(texto)
    except NumeroInvalido as error:
        return f"{texto} não pode ser chamado: {error}"
    if numero.e164 is None:
        return f"{texto} é número de ramal: não sai por tronco"
    if numero.classe not in tronco.classes.split(","):
        return f"{texto} é da classe {numero.classe}, que este tronco não atende (atende {tronco.classes})"
    dialled = f"{texto} é da classe {numero.classe} e seria discado como {as_dialled(numero, tronco.formato_numero)}"
    first = await _first_for(casa, numero.classe)
    return dialled if first == tronco.nome else f"{dialled}; mas quem atende essa classe primeiro é o tronco {first}"


async def _first_for(casa: Casa, classe: str) -> Any:
    troncos = await casa.storage.read(queries.list_troncos)
    return next((tronco.nome for tronco in troncos if classe in tronco.classes.split(",")), None)
