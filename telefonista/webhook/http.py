"""The routes of /webhook: where to tell what, what was told, and telling it again."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, zone_of
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import invalido
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Corpo, IdCaminho
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.net.guarded import MAX_URL, BadUrl, check_url, parse
from telefonista.webhook import queries
from telefonista.webhook.objeto import EntregaObjeto, Estado, Nome, WebhookObjeto, entrega_object, webhook_object

router = APIRouter(tags=["webhook"])


def _url(value: object) -> object:
    if not isinstance(value, str):
        raise recusa("informe um endereço como https://exemplo.com.br/caminho")
    return value.strip()


def _parsed(value: str) -> str:
    parse(value)
    return value


async def _changed(request: Request) -> Callable[[int], None]:
    """Tells the delivery that a conta's webhooks or deliveries are no longer what they were; set by the wiring."""
    changed: Callable[[int], None] = request.app.state.webhook_changed
    return changed


NomeCaminho = Annotated[Nome, Path(description="O evento.", examples=["chamada_fim"])]
Avisar = Annotated[Callable[[int], None], Depends(_changed)]


class NovoWebhook(Corpo):
    """Para onde avisar."""

    url: Annotated[
        str,
        BeforeValidator(_url),
        AfterValidator(_parsed),
        Field(
            description="Endereço http ou https público, sem usuário e senha; recebe um POST por evento.",
            max_length=MAX_URL,
            examples=["https://exemplo.com.br/webhooks"],
        ),
    ]


class ConsultaEntregas(ConsultaRelatorio):
    nome: Annotated[Nome | None, Field(description="Só entregas deste evento.")] = None
    estado: Annotated[Estado | None, Field(description="Só entregas neste estado.")] = None


@router.get("/webhook", summary="Listar webhooks", responses=documented(list[WebhookObjeto]))
@router.get("/conta/webhook-default", summary="Listar webhooks", responses=documented(list[WebhookObjeto]))
async def index(casa: Casa, conta: ContaAtual) -> Response:
    webhooks = await casa.storage.read(queries.list_webhooks, conta.id)
    return ok([webhook_object(webhook, zone_of(conta)) for webhook in webhooks])


@router.put("/webhook/{nome}", summary="Cadastrar webhook", responses=documented(WebhookObjeto))
@router.put("/conta/webhook-default/{nome}", summary="Cadastrar webhook", responses=documented(WebhookObjeto))
async def save(nome: NomeCaminho, corpo: NovoWebhook, casa: Casa, conta: ContaAtual, avisar: Avisar) -> Response:
    try:
        await check_url(corpo.url, internal=casa.settings.internal_urls)
    except BadUrl as error:
        raise invalido("url", str(error)) from None
    webhook = await casa.storage.write(queries.save_webhook, conta.id, nome, corpo.url, datetime.now(UTC))
    avisar(conta.id)
    return ok(webhook_object(webhook, zone_of(conta)), "webhook salvo com sucesso")


@router.delete("/webhook/{nome}", summary="Remover webhook", responses=documented(None))
@router.delete("/conta/webhook-default/{nome}", summary="Remover webhook", responses=documented(None))
async def remove(nome: NomeCaminho, casa: Casa, conta: ContaAtual, avisar: Avisar) -> Response:
    await casa.storage.write(queries.delete_webhook, conta.id, nome)
    avisar(conta.id)
    return ok(None, "webhook removido com sucesso")


@router.get("/webhook/entregas", summary="Relatório de entregas", responses=documented(Relatorio[EntregaObjeto]))
async def report(consulta: Annotated[ConsultaEntregas, Query()], casa: Casa, conta: ContaAtual) -> Response:
    zone, pagina = zone_of(conta), consulta.pagina()
    total, vistas = await casa.storage.read(
        queries.list_entregas,
        conta.id,
        consulta.limites(zone, datetime.now(UTC)),
        nome=consulta.nome,
        estado=consulta.estado,
        posicao=pagina.posicao,
        limite=pagina.limite,
    )
    return ok(relatorio(total, pagina.posicao, pagina.limite, [entrega_object(vista, zone) for vista in vistas]))


@router.post("/webhook/entregas/{id}/reenviar", summary="Reenviar entrega", responses=documented(None))
async def send_again(id: IdCaminho, casa: Casa, conta: ContaAtual, avisar: Avisar) -> Response:
    await casa.storage.write(queries.send_again, conta.id, id, datetime.now(UTC))
    avisar(conta.id)
    return ok(None, "entrega será reenviada")
