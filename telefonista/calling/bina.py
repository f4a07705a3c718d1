"""Which number the called telephone is shown: the one place where it is decided, for every leg that is dialled."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.pedido import Rota
from telefonista.calling.routing import as_shown
from telefonista.dialect.errors import nao_permitido
from telefonista.dialect.numbers import NumeroInvalido, classify
from telefonista.storage.tables import Bina, Tronco


def bina_of(
    session: Session,
    conta_id: int,
    rota: Rota,
    padrao: str,
    *,
    so_confirmada: bool,
    pedida: str | None = None,
    campo: str = "bina",
) -> str:
    """What a leg by `rota` shows: `pedida`, else `padrao`, written as a telephone shows it; "" = no number.

    By a trunk its own bina wins always. With `so_confirmada` only confirmed numbers of the conta leave by a trunk:
    another `pedida` is refused with 403/8 naming its `campo`, and in place of another `padrao` goes the conta's first.
    """
    wanted = pedida or padrao
    if rota.tronco_id is None:
        return as_shown(wanted)
    tronco = session.get(Tronco, rota.tronco_id)
    if tronco is not None and tronco.bina:
        return as_shown(tronco.bina)
    if not so_confirmada:
        return as_shown(wanted)
    confirmed = confirmed_numbers(session, conta_id)
    if e164_of(wanted) in confirmed:
        return as_shown(wanted)
    if pedida:
        raise nao_permitido(
            f"o campo {campo} tem um número que esta conta não confirmou: confirme-o com POST /bina ou não o informe"
        )
    return as_shown(confirmed[0]) if confirmed else ""


def confirmed_numbers(session: Session, conta_id: int) -> list[str]:
    """The numbers, in E.164, that a conta may show by a trunk, the first confirmed first."""
    query = select(Bina.numero).where(Bina.conta_id == conta_id, Bina.confirmada_em.is_not(None))
    return list(session.scalars(query.order_by(Bina.confirmada_em, Bina.id)))


def e164_of(texto: str) -> str | None:
    """E.164 of a number in any notation; None for a ramal or for what is no number."""
    try:
        return classify(texto).e164
    except NumeroInvalido:
        return None
