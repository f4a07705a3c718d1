"""A further leg of a chamada under way, who listens in or takes a party's place: its row, priced and paid ahead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve
from telefonista.calling.bina import bina_of
from telefonista.calling.pedido import PernaPedido
from telefonista.calling.records import pernas_of
from telefonista.chamada.queries import Limits, add_perna, route, tariff
from telefonista.dialect.errors import inativa, nao_encontrado, sem_saldo
from telefonista.storage.tables import Chamada, Conta, Perna

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
    if chamada is None or chamada.conta_id != conta_id or chamada.recurso != "chamada":
        raise nao_encontrado("chamada")
    if chamada.estagio != "conversa":
        raise inativa()
    rota = route(session, conta, "numero", guest.numero, limits)
    tarifa = tariff(session, conta_id, rota.classe)
    price = tarifa.price(1)
    if price > conta.saldo - conta.reservado:
        raise sem_saldo()
    pernas = pernas_of(session, chamada.id)
    letra = next_letter(pernas)
    shown = next(perna.numero for perna in pernas if perna.papel == "origem")
    perna = add_perna(session, chamada, letra, guest.papel, guest.numero.strip(), rota, tarifa, None)
    if guest.substitui is not None:
        perna.substitui = place_of(pernas, guest.substitui).letra
        shown = place_of(pernas, "destino" if guest.substitui == "origem" else "origem").numero
    reserve(session, conta_id, perna, price, now)
    bina = bina_of(session, conta_id, rota, shown, so_confirmada=limits.so_bina_confirmada)
    return PernaPedido(chamada.id, letra, rota, bina)


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


def place_of(pernas: Sequence[Perna], papel: str) -> Perna:
    """Who has a party's place now: itself, or the last of those who followed each other in it."""
    successors = {perna.substitui: perna for perna in pernas if perna.substitui is not None}
    perna = next(perna for perna in pernas if perna.papel == papel)
    while perna.letra in successors:
        perna = successors[perna.letra]
    return perna


def next_letter(pernas: Sequence[Perna]) -> str:
    """The letra of one more perna: a ... z, then a1, b1 ..."""
    turn, place = divmod(len(pernas), len(LETTERS))
    return LETTERS[place] + (str(turn) if turn else "")
