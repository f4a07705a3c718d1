"""The ramal as OpenAPI documents it; view.py makes it, a contract test keeps the two alike."""

from pydantic import BaseModel, Field


class SipObjeto(BaseModel):
    """O que digitar em um telefone SIP para registrá-lo neste ramal."""

    servidor: str = Field(description="Endereço do servidor SIP.", examples=["127.0.0.1"])
    porta: int = Field(description="Porta do servidor SIP.", examples=[5060])
    usuario: str = Field(description="Usuário SIP; a senha é a do ramal.", examples=["4000c1"])
    transporte: str = Field(description="Transporte recomendado.", examples=["udp"])
    registrado: bool = Field(description="true se há um telefone registrado agora.")


class RamalObjeto(BaseModel):
    """Um ramal inteiro."""

    id: int = Field(description="ID do ramal.", examples=[1234])
    ramal: str = Field(description="Número do ramal.", examples=["4000"])
    login: str = Field(description="E-mail de login do ramal.")
    senha: str = Field(description="Senha do ramal, também a do telefone SIP.")
    bina: str | None = Field(description="Número que aparece quando o ramal faz ligações.")
    webphone_key: str = Field(description="Chave para webphones integrados.")
    ligacao_externa: bool = Field(description="Se pode fazer ligações externas.")
    ligacao_celular: bool = Field(description="Se pode ligar para celular.")
    gravar_audio: bool = Field(description="Se as ligações deste ramal são gravadas.")
    acesso_gravacoes: bool = Field(description="Se o usuário do ramal pode ver gravações.")
    webphone: bool = Field(description="Se o usuário do ramal pode utilizar o webphone.")
    ura_id: int | None = Field(description="URA que atende no lugar do ramal, se houver.")
    voicemail: bool = Field(description="Se quem liga vai para a caixa postal.")
    tags: str | None = Field(description="O texto livre informado.")
    nome: str | None = Field(description="Nome mostrado aos outros ramais.")
    sip: SipObjeto = Field(description="Como registrar um telefone.")
