"""Transfer of a chamada under way: POST /chamada/{id}/transfer, also spelled /transfr by a published client."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual
from telefonista.calling.live import NotTalking, Papel, Transfer
from telefonista.chamada.guests import Guest, add_guest
from telefonista.chamada.queries import limits_of
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import inativa
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Corpo, IdCaminho, Telefone, Texto

router = APIRouter(tags=["chamada"])


def _check_perna(texto: str) -> Papel:
    word = texto.strip().lower()
    if word == "origem":
        return "origem"
    if word == "destino":
        return "destino"
    raise recusa("informe origem ou destino")


class NovaTransferencia(Corpo):
    """Solta uma perna; a outra ouve chamar enquanto `numero` toca, e fala com quem atender."""

    numero: Annotated[Telefone, Field(description="Quem entra na chamada: ramal, DDD + número ou E.164.")]
    perna: Annotated[Texto, AfterValidator(_check_perna), Field(description="Quem sai da chamada: origem ou destino.")]


@router.post("/chamada/{id}/transfr", include_in_schema=False)
@router.post("/chamada/{id}/transfer", summary="Transferir chamada", responses=documented(None))
async def transfer(id: IdCaminho, corpo: NovaTransferencia, casa: Casa, conta: ContaAtual) -> Response:
    sai: Literal["origem", "destino"] = "origem" if corpo.perna == "origem" else "destino"
    guest = Guest(id, corpo.numero, "transferencia", substitui=sai)
    desk = casa.runner.desk(id)
    perna = await casa.storage.write(add_guest, conta.id, guest, limits_of(casa.settings), datetime.now(UTC))
    try:
        if desk is None:
            raise NotTalking
        desk.live.ask(Transfer(sai, perna))
    except NotTalking:
        raise inativa() from None
    return ok(None, "a chamada está sendo transferida")
