"""Transfer of a chamada under way: POST /chamada/{id}/transfer, also spelled /transfr by a published client."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, House, key_of
from telefonista.calling.idempotency import Chave, once
from telefonista.calling.live import NotTalking, Papel, Transfer
from telefonista.calling.pedido import PernaPedido
from telefonista.chamada.avaliacao import rate
from telefonista.chamada.guests import Guest, add_guest
from telefonista.chamada.queries import limits_of
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import inativa, obrigatorio
from telefonista.dialect.fields import recusa
from telefonista.dialect.idempotency import DOCUMENTED
from telefonista.dialect.models import Corpo, IdCaminho, Inteiro, Telefone, Texto, TextoLongo
from telefonista.storage.tables import Conta

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

    numero: Annotated[
        Telefone | None, Field(description="Quem entra na chamada: ramal, DDD + número ou E.164. Obrigatório.")
    ] = None
    perna: Annotated[
        Texto | None,
        AfterValidator(lambda texto: texto and _check_perna(texto)),
        Field(description="Quem sai da chamada: origem ou destino. Obrigatório."),
    ] = None
    nota: Annotated[
        Inteiro | None, Field(ge=1, le=5, description="Com ela, avalia a chamada em vez de transferir.")
    ] = None
    comentario: Annotated[TextoLongo | None, Field(description="Da avaliação.")] = None


@router.post("/chamada/{id}/transfr", include_in_schema=False)
@router.post(
    "/chamada/{id}/transfer", summary="Transferir chamada", responses=documented(None), openapi_extra=DOCUMENTED
)
async def transfer(
    id: IdCaminho, corpo: NovaTransferencia, request: Request, casa: Casa, conta: ContaAtual
) -> Response:
    return await transfer_or_rate(casa, conta, id, corpo, key_of(request, conta))


async def transfer_or_rate(
    casa: House, conta: Conta, id: int, corpo: NovaTransferencia, chave: Chave | None
) -> Response:
    """A published client sends its ratings here: a body with `nota` and no `perna` is one."""
    if corpo.nota is not None and corpo.perna is None:
        return await rate(casa, conta, id, corpo.nota, corpo.comentario)
    if corpo.numero is None or corpo.perna is None:
        raise obrigatorio("numero" if corpo.numero is None else "perna")
    sai: Papel = "origem" if corpo.perna == "origem" else "destino"
    guest, limits, now = (
        Guest(id, corpo.numero, "transferencia", substitui=sai),
        limits_of(casa.settings),
        datetime.now(UTC),
    )

    def add(session: Session) -> PernaPedido | None:
        return once(session, chave, now, lambda: add_guest(session, conta.id, guest, limits, now), {})

    perna = await casa.storage.write(add)
    if perna is not None:
        desk = casa.runner.desk(id)
        try:
            if desk is None:
                raise NotTalking
            desk.live.ask(Transfer(sai, perna))
        except NotTalking:
            raise inativa() from None
    return ok(None, "a chamada está sendo transferida")
