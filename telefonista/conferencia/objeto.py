"""The room and the calls into it as OpenAPI documents them; view.py makes them."""

from pydantic import BaseModel, Field


class ConferenciaCriada(BaseModel):
    """O id da sala."""

    id: int = Field(description="ID da conferência.", examples=[432])


class ChamadaDaConferenciaCriada(BaseModel):
    """O id da chamada que entra na sala quando é atendida."""

    id: int = Field(description="ID da chamada da conferência.", examples=[46132])


class ChamadaDaConferencia(BaseModel):
    """Uma chamada da conferência."""

    id: int = Field(description="ID da chamada da conferência.", examples=[46132])
    conferencia_id: int = Field(description="ID da conferência.", examples=[432])
    url_gravacao: str | None = Field(description="Link da gravação, que dispensa token; null enquanto não há.")
    numero: str = Field(description="O número como foi informado, ou o ramal que entrou.", examples=["4832830151"])
    data_criacao: str = Field(description="Quando foi criada, no fuso da conta.")
    data_inicio: str | None = Field(description="Quando começou a ser discada; null = não foi.")
    cli: int = Field(description="ID da conta.", examples=[3132])
    duracao: str = Field(description="Do início da discagem ao fim, HH:MM:SS.", examples=["00:00:45"])
    duracao_segundos: int = Field(description="O mesmo, em segundos.", examples=[45])
    duracao_cobrada: str = Field(description="O tempo cobrado, pela cadência da tarifa.", examples=["00:01:00"])
    duracao_cobrada_segundos: int = Field(description="O mesmo, em segundos.", examples=[60])
    duracao_falada: str = Field(description="Desde que atendeu.", examples=["00:00:35"])
    duracao_falada_segundos: int = Field(description="O mesmo, em segundos.", examples=[35])
    status: str = Field(description="Como está a chamada ou como terminou.", examples=["atendida"])
    preco: float = Field(description="Valor cobrado, em reais.", examples=[0.12])
    tipo: str = Field(description="ramal, movel ou fixo.", examples=["fixo"])
    motivo_desconexao: str = Field(description="A causa Q.850; `indefinido` antes do fim.", examples=["16. normal"])
    bina: str | None = Field(description="O número pedido para ser mostrado.")
    na_sala: bool = Field(description="true enquanto está na sala.")
    mudo: bool = Field(description="true quando os outros não a ouvem.")
    falando: bool = Field(description="true enquanto se fala nela e os outros a ouvem.")


class ConferenciaObjeto(BaseModel):
    """Uma sala. A que foi criada com `numero_destino` traz também os campos da forma antiga, os da primeira chamada."""

    id: int = Field(description="ID da conferência.", examples=[432])
    data_criacao: str = Field(description="Quando foi criada, no fuso da conta.")
    data_termino: str | None = Field(description="Quando foi encerrada; null = está aberta.")
    chamadas: list[ChamadaDaConferencia] = Field(description="As chamadas da sala, na ordem em que foram criadas.")
    pin: str | None = Field(description="O que um ramal tecla para entrar; null = entra quem disca.")
    numero_destino: str | None = Field(None, description="Forma antiga: quem foi chamado.")
    data_inicio: str | None = Field(None, description="Forma antiga: quando começou a ser discada.")
    tipo: str | None = Field(None, description="Forma antiga: ramal, movel ou fixo.")
    status: str | None = Field(None, description="Forma antiga: como está a chamada.")
    duracao_segundos: int | None = Field(None, description="Forma antiga.")
    duracao: str | None = Field(None, description="Forma antiga.")
    duracao_cobrada_segundos: int | None = Field(None, description="Forma antiga.")
    duracao_cobrada: str | None = Field(None, description="Forma antiga.")
    duracao_falada_segundos: int | None = Field(None, description="Forma antiga.")
    duracao_falada: str | None = Field(None, description="Forma antiga.")
    preco: float | None = Field(None, description="Forma antiga: valor cobrado por essa chamada.")
    url_conferencia: str | None = Field(None, description="Forma antiga: o áudio que ela ouve ao entrar.")
    resposta_usuario: bool | None = Field(None, description="Forma antiga: se as teclas são aguardadas.")
    resposta: str | None = Field(None, description="Forma antiga: as teclas pressionadas.")
