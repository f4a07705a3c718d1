"""From a number to where it rings: a ramal of the conta, the test network, or the trunk that serves its class."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.pedido import Rota
from telefonista.dialect.numbers import Numero, NumeroInvalido, classify
from telefonista.engine.rede import canonico
from telefonista.storage.tables import Conta, Ramal, Tronco

REDE = "rede"  # the engine's endpoint of the test network


class SemRota(ValueError):
    """The number is fine and nothing leads there; the text says in Portuguese what to do."""


class NaoPermitida(ValueError):
    """The conta or ramal may not call this class; the text says in Portuguese which right is missing."""


@dataclass(frozen=True)
class Chamador:
    """Who wants to call: the rights of a ramal's keypad; by API a conta may call everything it has a route for."""

    externa: bool = True
    celular: bool = True


def resolve(
    session: Session, conta: Conta, texto: str, *, test_network: bool, chamador: Chamador | None = None
) -> Rota:
    """Where `texto` rings. Raises NumeroInvalido, SemRota or NaoPermitida, each with a Portuguese text."""
    ramal = session.scalars(select(Ramal).where(Ramal.conta_id == conta.id, Ramal.ramal == texto.strip())).one_or_none()
    if ramal is not None:
        return Rota("ramal", "ramal", ramal.ramal, ramal.usuario, ramal_id=ramal.id)
    numero = classify(texto)
    if numero.e164 is None:
        raise NumeroInvalido("não há ramal com este número nesta conta")
    if chamador is not None and canonico(numero.e164) is None:
        _check_rights(chamador, numero)
    if test_network and canonico(numero.e164) is not None:
        return Rota(numero.tipo, numero.classe, numero.e164, REDE, numero=str(numero.nacional))
    if numero.classe == "internacional" and not conta.internacional:
        raise NaoPermitida("ligações internacionais não estão habilitadas nesta conta")
    tronco = serving(troncos_of(session), numero.classe)
    if tronco is not None:
        return Rota(
            numero.tipo,
            numero.classe,
            numero.e164,
            trunk_endpoint(tronco.id),
            numero=as_dialled(numero, tronco.formato_numero),
            tronco_id=tronco.id,
        )
    if canonico(numero.e164) is not None:
        raise SemRota("é da rede de teste, que está desligada: ligue-a com TELEFONISTA_TEST_NETWORK=1 ou use outro")
    raise SemRota(
        f"nenhum tronco atende números da classe {numero.classe}: cadastre um com `telefonista tronco add`"
        + (" ou use um número da rede de teste, por exemplo 1030000001" if test_network else "")
    )


def troncos_of(session: Session) -> Sequence[Tronco]:
    """The trunks in the order they are tried."""
    return session.scalars(select(Tronco).order_by(Tronco.id)).all()


def serving(troncos: Sequence[Tronco], classe: str) -> Tronco | None:
    """The trunk by which a class of numbers leaves."""
    return next((tronco for tronco in troncos if classe in tronco.classes.split(",")), None)


def _check_rights(chamador: Chamador, numero: Numero) -> None:
    if not chamador.externa:
        raise NaoPermitida("este ramal não tem permissão para ligações externas (ligacao_externa)")
    if numero.tipo == "movel" and not chamador.celular:
        raise NaoPermitida("este ramal não tem permissão para ligar para celular (ligacao_celular)")


def trunk_endpoint(tronco_id: int) -> str:
    """The engine's name of a trunk."""
    return f"tronco-{tronco_id}"


def as_dialled(numero: Numero, formato: str) -> str:
    """A number the way a carrier wants it: e164 (55...), e164+ (+55...), nacional (DDD + number), 0nacional."""
    assert numero.e164 is not None
    if numero.nacional is None or formato == "e164+":
        return numero.e164
    if formato == "e164":
        return numero.e164.removeprefix("+")
    if formato == "0nacional" and not numero.nacional.startswith("0"):
        return "0" + numero.nacional
    return numero.nacional


def as_shown(texto: str) -> str:
    """A caller's number the way a telephone shows it: DDD + number inside Brazil, else as it is."""
    try:
        numero = classify(texto)
    except NumeroInvalido:
        return texto.strip()
    return numero.nacional or numero.e164 or numero.original
