"""GET /chamada/relatorio: the report of chamadas, page by page as JSON or whole as CSV."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, zone_of
from telefonista.chamada.objeto import ChamadaObjeto
from telefonista.chamada.report_csv import TableOfChamadas
from telefonista.chamada.report_rows import Filtro, list_chamadas
from telefonista.chamada.view import chamada_object
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Telefone, Texto
from telefonista.dialect.numbers import NumeroInvalido, classify
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio

router = APIRouter(tags=["chamada"])

_ANSWERS: dict[int | str, dict[str, Any]] = documented(Relatorio[ChamadaObjeto])
_ANSWERS[200]["content"] = {"text/csv": {"schema": {"type": "string"}}}


def _check_formato(texto: str) -> str:
    word = texto.strip().lower()
    if word not in ("json", "csv"):
        raise recusa("informe json ou csv")
    return word


class ConsultaChamadas(ConsultaRelatorio):
    origem: Annotated[Telefone | None, Field(description="Só chamadas com este número de origem.")] = None
    destino: Annotated[Telefone | None, Field(description="Só chamadas com este número de destino.")] = None
    formato: Annotated[
        Texto,
        AfterValidator(_check_formato),
        Field(
            description="`json`: uma página; `csv`: o período inteiro em uma tabela, sem posicao nem limite.",
            examples=["csv"],
        ),
    ] = "json"


@router.get("/chamada/relatorio", summary="Relatório de chamadas", responses=_ANSWERS)
async def report(consulta: Annotated[ConsultaChamadas, Query()], casa: Casa, conta: ContaAtual) -> Response:
    zone, now = zone_of(conta), datetime.now(UTC)
    filtro = Filtro(conta.id, consulta.limites(zone, now), _as_stored(consulta.origem), _as_stored(consulta.destino))
    if consulta.formato == "csv":
        return TableOfChamadas(casa, filtro, zone)
    pagina = consulta.pagina()
    total, vistas = await casa.storage.read(list_chamadas, filtro, posicao=pagina.posicao, limite=pagina.limite)
    itens = [chamada_object(vista, zone, casa.settings.base_url) for vista in vistas]
    return ok(relatorio(total, pagina.posicao, pagina.limite, itens))


def _as_stored(numero: str | None) -> str | None:
    """A filter in any notation finds what is stored as E.164 or ramal."""
    if numero is None:
        return None
    try:
        return classify(numero).e164 or numero.strip()
    except NumeroInvalido:
        return numero.strip()
