"""A further leg of a chamada under way, who listens in or takes a party's place: its row, priced and paid ahead."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve
from telefonista.calling import routing
from telefonista.calling.pedido import PernaPedido
from telefonista.calling.records import pernas_of
from telefonista.chamada.queries import Limits, add_perna, route, tariff
from telefonista.dialect.errors import inativa, nao_encontrado, sem_saldo
from telefonista.storage.tables import Chamada, Conta

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Guest:
    """Whom to add: `papel` escuta or transferencia; `substitui`: the papel whose place it takes."""

    chamada_id: int
    numero: str
    papel: str
    substitui: str | None = None


def add_guest(session: Session, conta_id: int, guest: Guest, limits: Limits, now: datetime) -> PernaPedido:
    """Write the leg's row and set its first block aside. Raises DialectError; then nothing was added."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    chamada = session.get(Chamada, guest.chamada_id)
    if chamada is None or chamada.conta_id != conta_id:
        raise nao_encontrado("chamada")
    if chamada.estagio != "conversa":
        raise inativa()
    rota = route(session, conta, "numero", guest.numero, limits)
    tarifa = tariff(session, conta_id, rota.classe)
    price = tarifa.price(1)
    if price > conta.saldo - conta.reservado:
        raise sem_saldo()
    pernas = pernas_of(session, chamada.id)
    letra = _letter(len(pernas))
    shown = next(perna.numero for perna in pernas if perna.papel == "origem")
    perna = add_perna(session, chamada, letra, guest.papel, guest.numero.strip(), rota, tarifa, None)
    if guest.substitui is not None:
        places = {perna.papel: perna for perna in pernas if perna.papel in ("origem", "destino")}
        perna.substitui = _last_in_place(places[guest.substitui].letra, {p.substitui: p.letra for p in pernas})
        other = "destino" if guest.substitui == "origem" else "origem"
        shown = places[other].numero
    reserve(session, conta_id, perna, price, now)
    return PernaPedido(chamada.id, letra, rota, routing.as_shown(shown))


def add_listener(session: Session, conta_id: int, guest: Guest, limits: Limits, now: datetime) -> PernaPedido:
    """As add_guest; a numero that listens to the chamada already is found instead of called again."""
    conta = session.get_one(Conta, conta_id)
    chamada = session.get(Chamada, guest.chamada_id)
    if chamada is not None and chamada.conta_id == conta_id:
        rota = route(session, conta, "numero", guest.numero, limits)
        for perna in pernas_of(session, chamada.id):
            if perna.papel == "escuta" and perna.encerrada_em is None and perna.e164 == rota.e164:
                return PernaPedido(chamada.id, perna.letra, rota)
    return add_guest(session, conta_id, guest, limits, now)


def _last_in_place(letra: str, successors: dict[str | None, str]) -> str:
    """Who has a party's place now: the last of those who followed each other in it."""
    while letra in successors:
        letra = successors[letra]
    return letra


def _letter(index: int) -> str:
    """a ... z, then a1, b1 ..."""
    turn, place = divmod(index, len(LETTERS))
    return LETTERS[place] + (str(turn) if turn else "")
