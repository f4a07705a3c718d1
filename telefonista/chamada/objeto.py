"""The chamada and its legs as OpenAPI documents them; view.py makes them, a contract test keeps the two alike."""

from typing import Literal

from pydantic import BaseModel, Field


class ChamadaCriada(BaseModel):
    """O id da chamada; os telefones tocam depois da resposta."""

    id: int = Field(description="ID da chamada.", examples=[123123])


class PernaObjeto(BaseModel):
    """Uma perna da chamada: quem foi chamado, como terminou e quanto custou."""

    data_inicio: str | None = Field(description="Quando começou a ser discada, no fuso da conta; null = não foi.")
    numero: str = Field(description="O número como foi informado.", examples=["4832830151"])
    tipo: Literal["ramal", "movel", "fixo"] = Field(description="ramal, movel (celular) ou fixo.")
    status: Literal[
        "preparando",
        "chamando",
        "atendida",
        "sem resposta",
        "ocupado",
        "congestionado",
        "falha",
        "cancelada",
        "não existe",
    ] = Field(description="Como está a perna ou como terminou.")
    substatus: str | None = Field(description="`caixa_postal` quando a detecção de caixa postal encerrou a perna.")
    duracao_segundos: int = Field(description="Do início da discagem ao fim, em segundos.", examples=[29])
    duracao: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:00:29"])
    duracao_cobrada_segundos: int = Field(description="Segundos cobrados, pela cadência da tarifa.", examples=[60])
    duracao_cobrada: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:01:00"])
    duracao_falada_segundos: int = Field(description="Segundos desde que esta perna atendeu.", examples=[28])
    duracao_falada: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:00:28"])
    preco: float = Field(description="Valor cobrado por esta perna, em reais.", examples=[0.12])
    motivo_desconexao: str = Field(
        description="A causa Q.850 e o seu texto; `indefinido` antes do fim.", examples=["16. normal"]
    )


class OrigemObjeto(PernaObjeto):
    """A perna A: quem atende primeiro."""

    bina_origem: str | None = Field(description="O número pedido para ser mostrado à origem.")


class DestinoObjeto(PernaObjeto):
    """A perna B: quem é chamado depois."""

    bina_destino: str | None = Field(description="O número pedido para ser mostrado ao destino.")


class PernaDaChamada(PernaObjeto):
    """Uma perna e o seu papel; o campo `bina_origem` ou `bina_destino` também está aqui, conforme o papel."""

    papel: str = Field(description="De que lado da conversa está: origem ou destino.", examples=["origem"])


class AvaliacaoObjeto(BaseModel):
    """A última avaliação dada à chamada."""

    nota: int = Field(description="De 1 a 5.", examples=[5])
    comentario: str | None = Field(description="O comentário, se houve.")
    data: str | None = Field(description="Quando foi dada, no fuso da conta.")


class GravacaoParcialObjeto(BaseModel):
    """Um trecho gravado a pedido durante a conversa."""

    id: int = Field(description="ID da gravação.")
    data_inicio: str | None = Field(description="Quando começou, no fuso da conta.")
    status: str = Field(description="gravando, pausada, convertendo, pronta, falhou ou removida.")
    duracao_segundos: int = Field(description="Duração em segundos; 0 enquanto não está pronta.")
    url_gravacao: str | None = Field(description="Link que dispensa token; null enquanto não está pronta.")


class ChamadaObjeto(BaseModel):
    """Uma chamada inteira."""

    id: int = Field(description="ID da chamada.", examples=[123])
    data_criacao: str = Field(
        description="Quando foi criada, no fuso da conta.", examples=["2018-08-02T10:49:30-03:00"]
    )
    ativa: bool = Field(description="true enquanto está em curso.")
    url_gravacao: str | None = Field(description="Link da gravação, que dispensa token; null enquanto não há.")
    cliente_id: int = Field(description="O mesmo que conta_id.")
    conta_id: int = Field(description="ID da conta.")
    ramal_id_origem: int | None = Field(description="ID do ramal que originou a chamada, se houver.")
    tags: str | None = Field(description="O texto livre informado na criação.")
    status_geral: Literal["criada", "curso", "finalizada"] = Field(
        description="criada = ainda não discada (também agendada); curso = em andamento; finalizada."
    )
    detecta_caixa: bool = Field(description="Se o destino é desligado ao cair em caixa postal.")
    gravar_audio: bool = Field(description="Se a conversa é gravada.")
    origem: OrigemObjeto | None = Field(description="A perna A.")
    destino: DestinoObjeto | None = Field(description="A perna B.")
    avaliacao: AvaliacaoObjeto | None = Field(description="A avaliação dada à chamada, ou null.")
    pernas: list[PernaDaChamada] = Field(description="Todas as pernas, também as que uma transferência trouxe.")
    gravacoes_parciais: list[GravacaoParcialObjeto] = Field(description="Trechos gravados a pedido.")
