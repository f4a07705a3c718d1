"""Transfers asked for on the telephone itself (REFER): blind to a number, or attended, joining its two calls."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling import routing
from telefonista.calling.house import House
from telefonista.calling.legs import Desk
from telefonista.calling.live import HandOver, NotTalking, Papel, Transfer
from telefonista.calling.pedido import PernaPedido, Rota
from telefonista.calling.records import pernas_of
from telefonista.chamada.guests import Guest, add_guest, next_letter, place_of
from telefonista.chamada.queries import Limits, limits_of
from telefonista.dialect.errors import DialectError, inativa, nao_permitido
from telefonista.engine.port import Leg, Referral
from telefonista.storage.tables import Chamada, Conta, Perna, Ramal

log = structlog.get_logger()

_HAND_OVER_SECONDS = 5.0


@dataclass(frozen=True)
class Transfers:
    """Decides about every transfer asked for by a telephone: `engine.on_referral(Transfers(house))`."""

    house: House

    async def __call__(self, referral: Referral) -> None:
        """Start the transfer, or tell the telephone that it came to nothing; its call then goes on."""
        found = self.house.runner.talking(referral.leg.id)
        other = self.house.runner.talking(referral.other_leg_id) if referral.other_leg_id else None
        try:
            if found is None or (referral.other_leg_id and other is None):
                raise NotTalking
            if other is None:
                await self._blind(referral, *found)
            else:
                await self._attended(referral, *found, *other)
        except (NotTalking, DialectError, TimeoutError) as reason:
            log.info("a telephone's transfer was refused", reason=str(reason))
            await referral.leg.referred(done=False)

    async def _blind(self, referral: Referral, desk: Desk, papel: Papel) -> None:
        now, limits = datetime.now(UTC), limits_of(self.house.settings)
        guest = Guest(desk.live.pedido.id, referral.numero, "transferencia", substitui=papel)
        perna = await self.house.storage.write(_add_referred, referral.leg.id, guest, limits, now)
        desk.live.ask(Transfer(papel, perna, by_key=True))

    async def _attended(self, referral: Referral, desk: Desk, papel: Papel, other: Desk, line: Papel) -> None:
        """The telephone spoke to somebody on its other line: that party goes over to this call."""
        taken: asyncio.Future[Leg] = asyncio.get_running_loop().create_future()
        stays: Papel = "origem" if line == "destino" else "destino"
        leg_id = other.live.leg_of(stays).id
        perna = await self.house.storage.write(_add_taken, desk.live.pedido.id, papel, leg_id, datetime.now(UTC))
        other.live.ask(HandOver(stays, taken))
        async with asyncio.timeout(_HAND_OVER_SECONDS):
            leg = await taken
        try:
            desk.live.ask(Transfer(papel, perna, by_key=True, leg=leg))
        except NotTalking:
            leg.hang_up()
            raise


def _add_referred(session: Session, leg_id: str, guest: Guest, limits: Limits, now: datetime) -> PernaPedido:
    """As add_guest, within the rights of the ramal that transfers."""
    chamada = session.get_one(Chamada, guest.chamada_id)
    conta = session.get_one(Conta, chamada.conta_id)
    perna = _perna_of(session, leg_id)
    if perna.tipo == "ramal":
        ramal = session.scalars(select(Ramal).where(Ramal.conta_id == conta.id, Ramal.ramal == perna.e164)).first()
        if ramal is None:
            raise inativa()
        rights = routing.Chamador(externa=ramal.ligacao_externa, celular=ramal.ligacao_celular)
        try:
            routing.resolve(session, conta, guest.numero, test_network=limits.test_network, chamador=rights)
        except ValueError as error:
            raise nao_permitido(str(error)) from None
    return add_guest(session, conta.id, guest, limits, now)


def _add_taken(session: Session, chamada_id: int, papel: Papel, leg_id: str, now: datetime) -> PernaPedido:
    """The row of a party that comes over from another chamada: the same telephone, priced as it was."""
    pernas = pernas_of(session, chamada_id)
    old = _perna_of(session, leg_id)
    letra = next_letter(pernas)
    session.add(
        Perna(
            chamada_id=chamada_id,
            letra=letra,
            leg=leg_id,
            papel="transferencia",
            substitui=place_of(pernas, papel).letra,
            numero=old.numero,
            e164=old.e164,
            tipo=old.tipo,
            classe=old.classe,
            bina=old.bina,
            tarifa=old.tarifa,
        )
    )
    return PernaPedido(chamada_id, letra, Rota(old.tipo, old.classe, old.e164, endpoint=""))


def _perna_of(session: Session, leg_id: str) -> Perna:
    """The perna that a leg is now: the newest row that names it."""
    perna = session.scalars(select(Perna).where(Perna.leg == leg_id).order_by(Perna.id.desc())).first()
    if perna is None:
        raise inativa()
    return perna
