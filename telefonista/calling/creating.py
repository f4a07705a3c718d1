"""What creating any call takes, whatever its resource: a number's route and price, and its leg's row."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

from telefonista.billing.ledger import tariff_for
from telefonista.billing.rates import Tariff
from telefonista.calling import routing
from telefonista.calling.pedido import Rota
from telefonista.dialect.errors import invalido, nao_permitido
from telefonista.dialect.numbers import NumeroInvalido
from telefonista.settings import Settings
from telefonista.storage.tables import Chamada, Conta, Perna


@dataclass(frozen=True)
class Limits:
    """What the settings say of calls: seconds, whether the test network is on, and which binas leave by a trunk."""

    toque: int
    maximo: int
    test_network: bool
    so_bina_confirmada: bool = True


def limits_of(settings: Settings) -> Limits:
    return Limits(settings.ring_seconds, settings.max_call_seconds, settings.test_network, settings.confirmed_bina)


def add_perna(
    session: Session,
    chamada: Chamada,
    letra: str,
    papel: str,
    numero: str,
    rota: Rota,
    tarifa: Tariff,
    bina: str | None,
) -> Perna:
    """A leg's row, priced by a snapshot of its tariff."""
    perna = Perna(
        chamada_id=chamada.id,
        letra=letra,
        papel=papel,
        numero=numero,
        e164=rota.e164,
        tipo=rota.tipo,
        classe=rota.classe,
        bina=bina,
        tarifa=tarifa.snapshot(),
        reserva=Decimal(0),
    )
    session.add(perna)
    session.flush()
    return perna


def route(session: Session, conta: Conta, campo: str, texto: str, limits: Limits) -> Rota:
    """Where the number in `campo` rings; DialectError when it may or can not."""
    try:
        return routing.resolve(session, conta, texto, test_network=limits.test_network)
    except routing.NaoPermitida as error:
        raise nao_permitido(f"o campo {campo} não pode ser chamado: {error}") from None
    except (NumeroInvalido, routing.SemRota) as error:
        raise invalido(campo, str(error)) from None


def tariff(session: Session, conta_id: int, classe: str) -> Tariff:
    """What a class costs this conta; DialectError when nobody priced it."""
    try:
        return tariff_for(session, conta_id, classe)
    except LookupError:
        raise nao_permitido(f"não há tarifa para a classe {classe}: peça ao operador que a cadastre") from None
