"""The routes of /ramal: check, commit, tell the engine, answer."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, House, zone_of
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import nao_encontrado
from telefonista.dialect.models import Booleano, Corpo, IdCaminho, Identificador, Telefone, Texto
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.ramal import accounts, queries
from telefonista.ramal.objeto import RamalObjeto
from telefonista.ramal.rules import check_numero, check_senha
from telefonista.ramal.view import ramal_object
from telefonista.storage.tables import Ramal

router = APIRouter(tags=["ramal"])

_IN_ENGINE = {"ramal", "senha", "nome"}
"""The fields the engine knows; the others are read when a call is made."""


class CamposRamal(Corpo):
    """Os campos de um ramal; nenhum é obrigatório."""

    ramal: Annotated[
        Annotated[Telefone, AfterValidator(check_numero)] | None,
        Field(description="Número do ramal, de 2 a 6 dígitos; ausente = o próximo livre a partir de 4000."),
    ] = None
    login: Annotated[Texto | None, Field(max_length=120, description="E-mail de login do ramal.")] = None
    senha: Annotated[
        Annotated[Texto, AfterValidator(check_senha)] | None,
        Field(description="8 ou mais caracteres, com maiúsculas e minúsculas; ausente = criada por nós."),
    ] = None
    bina: Annotated[Telefone | None, Field(description="Número que aparece quando o ramal faz ligações.")] = None
    ligacao_externa: Annotated[Booleano, Field(description="Permite fazer ligações externas.")] = False
    ligacao_celular: Annotated[Booleano, Field(description="Permite ligar para celular.")] = False
    gravar_audio: Annotated[Booleano, Field(description="Grava as ligações feitas por este ramal.")] = False
    acesso_gravacoes: Annotated[Booleano, Field(description="Permite ao usuário do ramal ver gravações.")] = False
    webphone: Annotated[Booleano, Field(description="Permite ao usuário utilizar o webphone.")] = True
    ura_id: Annotated[Identificador | None, Field(description="URA que atende no lugar do ramal.")] = None
    voicemail: Annotated[Booleano, Field(description="Encaminha quem liga para a caixa postal.")] = False
    tags: Annotated[Texto | None, Field(description="Texto livre seu, devolvido nas consultas.")] = None
    nome: Annotated[Texto | None, Field(max_length=120, description="Nome mostrado aos outros ramais.")] = None


class EdicaoRamal(CamposRamal):
    """Os campos a mudar e o id do ramal; os demais ficam como estão."""

    id: Annotated[Identificador, Field(description="ID do ramal.")]


@router.post("/ramal", summary="Criar ramal", responses=documented(RamalObjeto))
async def create(corpo: CamposRamal, casa: Casa, conta: ContaAtual) -> Response:
    ramal = await casa.storage.write(queries.create_ramal, conta.id, corpo.informados(), datetime.now(UTC))
    await accounts.push(casa, [ramal.usuario])
    return ok(_object(casa, ramal), "ramal criado com sucesso")


@router.get("/ramal/relatorio", summary="Relatório de ramais", responses=documented(Relatorio[RamalObjeto]))
async def report(consulta: Annotated[ConsultaRelatorio, Query()], casa: Casa, conta: ContaAtual) -> Response:
    pagina = consulta.pagina()
    total, ramais = await casa.storage.read(
        queries.list_ramais,
        conta.id,
        consulta.limites(zone_of(conta), datetime.now(UTC), tudo=True),
        posicao=pagina.posicao,
        limite=pagina.limite,
    )
    return ok(relatorio(total, pagina.posicao, pagina.limite, [_object(casa, ramal) for ramal in ramais]))


@router.get("/ramal/{id}", summary="Buscar ramal", responses=documented(RamalObjeto))
async def show(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    ramal = await casa.storage.read(queries.ramal_by_id, conta.id, id)
    if ramal is None:
        raise nao_encontrado("ramal")
    return ok(_object(casa, ramal))


@router.put("/ramal/{id}", summary="Editar ramal", responses=documented(None))
async def edit(id: IdCaminho, corpo: CamposRamal, casa: Casa, conta: ContaAtual) -> Response:
    return await _edit(casa, conta.id, id, corpo.informados())


@router.put("/ramal", summary="Editar ramal (id no corpo)", responses=documented(None))
async def edit_by_body(corpo: EdicaoRamal, casa: Casa, conta: ContaAtual) -> Response:
    campos = corpo.informados()
    return await _edit(casa, conta.id, campos.pop("id"), campos)


@router.delete("/ramal/{id}", summary="Remover ramal", responses=documented(None))
async def remove(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    usuario = await casa.storage.write(queries.delete_ramal, conta.id, id)
    await accounts.push(casa, [usuario])
    return ok(None, "Ramal Removido")


async def _edit(casa: House, conta_id: int, ramal_id: int, campos: dict[str, Any]) -> Response:
    usuarios = await casa.storage.write(queries.update_ramal, conta_id, ramal_id, campos)
    if campos.keys() & _IN_ENGINE:
        await accounts.push(casa, usuarios)
    return ok(None, "dados atualizados com sucesso")


def _object(casa: House, ramal: Ramal) -> dict[str, Any]:
    return ramal_object(ramal, casa.settings, registrado=bool(casa.engine.devices(ramal.usuario)))
