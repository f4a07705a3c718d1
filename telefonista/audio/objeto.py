"""The audio as OpenAPI documents it; view.py makes it, a contract test keeps the two alike."""

from typing import Literal

from pydantic import BaseModel, Field

Status = Literal[
    "preparando",
    "chamando",
    "atendida",
    "sem resposta",
    "ocupado",
    "congestionado",
    "falha",
    "cancelada",
    "não existe",
]


class AudioCriado(BaseModel):
    """O id do audio; o telefone toca depois da resposta, na vez dele."""

    id: int = Field(description="ID do audio.", examples=[432])


class AudioObjeto(BaseModel):
    """Um audio (torpedo de voz)."""

    id: int = Field(description="ID do audio.", examples=[432])
    numero_destino: str = Field(description="O número como foi informado.", examples=["4832830151"])
    data_criacao: str = Field(description="Quando foi criado, no fuso da conta.")
    data_inicio: str | None = Field(description="Quando começou a ser discado; null = ainda não foi.")
    tipo: Literal["ramal", "movel", "fixo"] = Field(description="ramal, movel (celular) ou fixo.")
    status: Status = Field(description="Como está ou como terminou; `preparando` enquanto espera a vez ou a data.")
    duracao_segundos: int = Field(description="Do início da discagem ao fim, em segundos.", examples=[29])
    duracao: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:00:29"])
    duracao_cobrada_segundos: int = Field(description="Segundos cobrados, pela cadência da tarifa.", examples=[60])
    duracao_cobrada: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:01:00"])
    duracao_falada_segundos: int = Field(description="Segundos desde que atendeu.", examples=[20])
    duracao_falada: str = Field(description="O mesmo, como HH:MM:SS.", examples=["00:00:20"])
    preco: float = Field(description="Valor cobrado, em reais.", examples=[0.12])
    url_audio: str = Field(description="De onde veio o áudio.")
    resposta_usuario: bool = Field(description="Se as teclas são esperadas.")
    resposta: str | None = Field(description="As teclas apertadas; null = nenhuma.", examples=["1"])
    motivo_desconexao: str = Field(
        description="A causa Q.850 e o seu texto; `indefinido` antes do fim.", examples=["16. normal"]
    )
    url_gravacao: str | None = Field(description="Link da gravação, que dispensa token; null enquanto não há.")
    bina: str | None = Field(description="O número pedido para ser mostrado.")
    tags: str | None = Field(description="O texto livre informado na criação.")
