"""The tables, named by the words of the wire (docs/glossario.md); every floor above storage may import them."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from telefonista.storage.types import Instant, Money

# SQLite gives ids by itself only to an INTEGER key.
Id = BigInteger().with_variant(Integer, "sqlite")

# Without it SQLite gives the id of a removed row to the next one, and ids only ever grow.
GROWING = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Instant, Decimal: Money, dict[str, Any]: JSON}


class Conta(Base):
    """A customer: what an Access-Token selects. `saldo` is the sum of its ledger, `reservado` of its open reserves."""

    __tablename__ = "conta"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    nome: Mapped[str] = mapped_column(String(120))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    fuso: Mapped[str] = mapped_column(String(60), default="America/Sao_Paulo")
    internacional: Mapped[bool] = mapped_column(default=False)
    saldo: Mapped[Decimal] = mapped_column(default=Decimal(0))
    reservado: Mapped[Decimal] = mapped_column(default=Decimal(0))
    retencao_dias: Mapped[int] = mapped_column(default=90, server_default="90")  # how long recordings are kept
    criada_em: Mapped[datetime]


class Chamada(Base):
    """A call as its owner sees it; its legs are `perna`, its story is `evento`."""

    __tablename__ = "chamada"
    __table_args__ = (
        Index("ix_chamada_relatorio", "conta_id", "recurso", "data_criacao", "id"),
        Index("ix_chamada_abertas", "status_geral"),
        Index("ix_chamada_agenda", "status_geral", "agendada_para"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    # whose call it is, and whose report lists it: chamada | conferencia | audio | bina; those others have origem alone
    recurso: Mapped[str] = mapped_column(String(12), default="chamada", server_default="chamada")
    data_criacao: Mapped[datetime]
    agendada_para: Mapped[datetime | None]
    status_geral: Mapped[str] = mapped_column(String(12))
    # how far the flow came: criada | origem | destino | conversa | fim
    estagio: Mapped[str] = mapped_column(String(12), default="criada")
    conversa_em: Mapped[datetime | None]
    encerrada_em: Mapped[datetime | None]
    desfecho: Mapped[str | None] = mapped_column(String(40))
    ramal_id_origem: Mapped[int | None] = mapped_column(ForeignKey("ramal.id", ondelete="SET NULL"))
    tags: Mapped[str | None] = mapped_column(String(255))
    gravar_audio: Mapped[bool] = mapped_column(default=False)
    detecta_caixa: Mapped[bool] = mapped_column(default=False)
    detecta_caixa_origem: Mapped[bool] = mapped_column(default=False)
    detecta_caixa_destino: Mapped[bool] = mapped_column(default=False)
    limite_segundos: Mapped[int]
    toque_segundos: Mapped[int]
    nota: Mapped[int | None]  # 1 to 5, the last one given
    comentario: Mapped[str | None] = mapped_column(String(1000))
    avaliada_em: Mapped[datetime | None]


class Perna(Base):
    """A leg of a chamada. Legs that we dial are called `<chamada_id>-<letra>[.<device>]` in the engine."""

    __tablename__ = "perna"
    __table_args__ = (UniqueConstraint("chamada_id", "letra"), Index("ix_perna_numero", "e164", "papel", "chamada_id"))
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    chamada_id: Mapped[int] = mapped_column(ForeignKey("chamada.id"))
    letra: Mapped[str] = mapped_column(String(4))
    leg: Mapped[str | None] = mapped_column(String(80))  # the engine's id of the leg that is, or was, this perna
    papel: Mapped[str] = mapped_column(String(14))  # origem | destino | transferencia | escuta
    substitui: Mapped[str | None] = mapped_column(String(4))  # the perna whose place it took by a transfer
    numero: Mapped[str] = mapped_column(String(40))  # as the client gave it
    e164: Mapped[str] = mapped_column(String(40))  # or the ramal's number
    tipo: Mapped[str] = mapped_column(String(8))
    classe: Mapped[str] = mapped_column(String(16))  # what the tariff goes by
    bina: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(16), default="preparando")
    substatus: Mapped[str | None] = mapped_column(String(20))
    data_inicio: Mapped[datetime | None]
    tocou_em: Mapped[datetime | None]
    atendida_em: Mapped[datetime | None]
    encerrada_em: Mapped[datetime | None]
    causa: Mapped[int | None]  # Q.850
    sip: Mapped[int | None]
    desligou: Mapped[bool] = mapped_column(default=False)  # this side hung up
    duracao_segundos: Mapped[int] = mapped_column(default=0)
    duracao_falada_segundos: Mapped[int] = mapped_column(default=0)
    duracao_cobrada_segundos: Mapped[int] = mapped_column(default=0)
    tarifa: Mapped[dict[str, Any]]  # snapshot of the rate that priced it
    reserva: Mapped[Decimal] = mapped_column(default=Decimal(0))
    preco: Mapped[Decimal] = mapped_column(default=Decimal(0))


class Conferencia(Base):
    """A room: who is called into it hears all others in it."""

    __tablename__ = "conferencia"
    __table_args__ = (
        Index("ix_conferencia_conta_criacao", "conta_id", "data_criacao", "id"),
        Index("ix_conferencia_abertas", "encerrada_em"),
        GROWING,
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    data_criacao: Mapped[datetime]
    encerrada_em: Mapped[datetime | None]
    pin: Mapped[str | None] = mapped_column(String(12))  # what a ramal types to come in
    # The older document's form makes the room with its first call; null or false otherwise.
    numero_destino: Mapped[str | None] = mapped_column(String(40))
    url_conferencia: Mapped[str | None] = mapped_column(String(2000))
    gravar_conferencia: Mapped[bool] = mapped_column(default=False)
    resposta_usuario: Mapped[bool] = mapped_column(default=False)
    resposta: Mapped[str | None] = mapped_column(String(80))  # the keys that were pressed


class Participante(Base):
    """Somebody's call into a room: a chamada with recurso `conferencia`."""

    __tablename__ = "participante"
    __table_args__ = (Index("ix_participante_conferencia", "conferencia_id", "chamada_id"),)
    chamada_id: Mapped[int] = mapped_column(ForeignKey("chamada.id"), primary_key=True, autoincrement=False)
    conferencia_id: Mapped[int] = mapped_column(ForeignKey("conferencia.id"))
    mudo: Mapped[bool] = mapped_column(default=False)  # the others do not hear it


class Audio(Base):
    """A voice message, or one that waits to be one: a chamada with recurso `audio` and origem alone."""

    __tablename__ = "audio"
    __table_args__ = (Index("ix_audio_fila", "na_fila", "conta_id", "tronco_id", "quando", "chamada_id"),)
    chamada_id: Mapped[int] = mapped_column(ForeignKey("chamada.id"), primary_key=True, autoincrement=False)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    url_audio: Mapped[str] = mapped_column(String(2000))
    arquivo: Mapped[str] = mapped_column(String(64))  # the decoded sound's name, made of what it was decoded from
    duracao_ms: Mapped[int]  # how long it plays
    resposta_usuario: Mapped[bool] = mapped_column(default=False)
    resposta: Mapped[str | None] = mapped_column(String(80))  # the keys that were pressed
    na_fila: Mapped[bool]  # waits to be dialled
    quando: Mapped[datetime]  # not before
    tronco_id: Mapped[int]  # the trunk it is expected to take; 0 = none


class Evento(Base):
    """The journal: what happened to a call, append-only, in order of id."""

    __tablename__ = "evento"
    __table_args__ = (Index("ix_evento_chamada", "chamada_id", "id"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    chamada_id: Mapped[int] = mapped_column(ForeignKey("chamada.id"))
    momento: Mapped[datetime]
    tipo: Mapped[str] = mapped_column(String(24))
    perna: Mapped[str | None] = mapped_column(String(4))
    dados: Mapped[dict[str, Any]]


class LedgerEntry(Base):
    """Money, append-only. (leg, kind, turn) is unique, which makes every entry idempotent."""

    __tablename__ = "ledger_entry"
    __table_args__ = (UniqueConstraint("perna_id", "kind", "turn"), Index("ix_ledger_entry_conta", "conta_id", "id"))
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    perna_id: Mapped[int | None] = mapped_column(ForeignKey("perna.id"))
    kind: Mapped[str] = mapped_column(String(10))  # credit | reserve | capture | release
    turn: Mapped[int] = mapped_column(default=0)  # a reserve grows turn by turn while the leg talks
    valor: Mapped[Decimal]  # positive
    momento: Mapped[datetime]
    nota: Mapped[str | None] = mapped_column(String(255))


class Rate(Base):
    """What a minute costs: by class, of one conta or (conta_id null) of all."""

    __tablename__ = "rate"
    __table_args__ = (UniqueConstraint("conta_id", "classe"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int | None] = mapped_column(ForeignKey("conta.id"))
    classe: Mapped[str] = mapped_column(String(16))
    preco_minuto: Mapped[Decimal]
    inicial_segundos: Mapped[int] = mapped_column(default=60)
    incremento_segundos: Mapped[int] = mapped_column(default=60)
    gratis_segundos: Mapped[int] = mapped_column(default=0)


class Gravacao(Base):
    """A recording of a chamada: parts of two mono sides while the call lasts, then one stereo MP3."""

    __tablename__ = "gravacao"
    __table_args__ = (
        Index("ix_gravacao_estado", "estado"),
        Index("ix_gravacao_chamada", "chamada_id"),
        Index("ix_gravacao_retencao", "conta_id", "iniciada_em"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    chamada_id: Mapped[int] = mapped_column(ForeignKey("chamada.id"))
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    tipo: Mapped[str] = mapped_column(String(10), default="completa", server_default="completa")  # completa | parcial
    estado: Mapped[str] = mapped_column(String(12))  # gravando | pausada | convertendo | pronta | falhou | removida
    arquivo: Mapped[str] = mapped_column(String(200))  # relative to the recordings folder, without ending
    segredo: Mapped[str] = mapped_column(String(64))  # signs url_gravacao
    iniciada_em: Mapped[datetime]
    esperado_ms: Mapped[int | None]  # how long the parties were joined
    medido_ms: Mapped[int | None]  # how long the MP3 plays
    aviso: Mapped[str | None] = mapped_column(Text)


class GravacaoParte(Base):
    """A stretch of a recording without pause on one leg: a pause or a transfer begins another."""

    __tablename__ = "gravacao_parte"
    __table_args__ = (UniqueConstraint("gravacao_id", "ordem"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    gravacao_id: Mapped[int] = mapped_column(ForeignKey("gravacao.id", ondelete="CASCADE"))
    ordem: Mapped[int]
    nome: Mapped[str] = mapped_column(String(80))  # the engine's name of it
    lado: Mapped[str] = mapped_column(String(8))  # whose leg it is on: origem | destino
    iniciada_em: Mapped[datetime]
    encerrada_em: Mapped[datetime | None]


class GravacaoAcesso(Base):
    """Who heard a recording, and when; append-only."""

    __tablename__ = "gravacao_acesso"
    __table_args__ = (Index("ix_gravacao_acesso_gravacao", "gravacao_id"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    gravacao_id: Mapped[int] = mapped_column(ForeignKey("gravacao.id", ondelete="CASCADE"))
    momento: Mapped[datetime]
    por: Mapped[str] = mapped_column(String(8))  # token | link
    endereco: Mapped[str] = mapped_column(String(45))


class Bina(Base):
    """A number that a conta may show to others, once its owner has proved it by a code spoken in a call."""

    __tablename__ = "bina"
    __table_args__ = (UniqueConstraint("conta_id", "numero"), GROWING)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    numero: Mapped[str] = mapped_column(String(40))  # E.164
    codigo: Mapped[str | None] = mapped_column(String(64))  # hash of the code that was spoken last
    tentativas: Mapped[int] = mapped_column(default=0)
    expira_em: Mapped[datetime | None]
    confirmada_em: Mapped[datetime | None]
    criada_em: Mapped[datetime]


class Webhook(Base):
    """Where a conta wants to be told of one kind of event."""

    __tablename__ = "webhook"
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"), primary_key=True)
    nome: Mapped[str] = mapped_column(String(40), primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    segredo: Mapped[str] = mapped_column(String(80))
    criado_em: Mapped[datetime]


class Entrega(Base):
    """The outbox: a webhook to deliver, written in the transaction of what it tells."""

    __tablename__ = "entrega"
    __table_args__ = (
        Index("ix_entrega_pendente", "estado", "proxima_em"),
        Index("ix_entrega_ordem", "ordem", "id"),
        Index("ix_entrega_conta", "conta_id", "id"),
        Index("ix_entrega_fila", "conta_id", "estado", "proxima_em"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    nome: Mapped[str] = mapped_column(String(40))
    ordem: Mapped[str] = mapped_column(String(60))  # deliveries of one key keep their order, as "chamada-123"
    corpo: Mapped[dict[str, Any]]
    estado: Mapped[str] = mapped_column(String(10), default="pendente")  # pendente | entregue | desistiu | cancelada
    tentativas: Mapped[int] = mapped_column(default=0)
    criada_em: Mapped[datetime]
    proxima_em: Mapped[datetime]
    entregue_em: Mapped[datetime | None]


class Tentativa(Base):
    """One attempt to deliver; append-only."""

    __tablename__ = "tentativa"
    __table_args__ = (Index("ix_tentativa_entrega", "entrega_id", "id"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    entrega_id: Mapped[int] = mapped_column(ForeignKey("entrega.id", ondelete="CASCADE"))
    momento: Mapped[datetime]
    url: Mapped[str] = mapped_column(String(2000))
    status: Mapped[int | None]  # HTTP, null when nobody answered
    erro: Mapped[str | None] = mapped_column(String(255))
    milissegundos: Mapped[int]


class Ramal(Base):
    """An extension: a SIP account of a conta."""

    __tablename__ = "ramal"
    __table_args__ = (UniqueConstraint("conta_id", "ramal"), UniqueConstraint("login"), GROWING)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"))
    ramal: Mapped[str] = mapped_column(String(8))
    login: Mapped[str] = mapped_column(String(120))
    senha: Mapped[str] = mapped_column(String(64))
    nome: Mapped[str | None] = mapped_column(String(120))
    bina: Mapped[str | None] = mapped_column(String(40))
    webphone_key: Mapped[str] = mapped_column(String(64), unique=True)
    ligacao_externa: Mapped[bool] = mapped_column(default=False)
    ligacao_celular: Mapped[bool] = mapped_column(default=False)
    gravar_audio: Mapped[bool] = mapped_column(default=False)
    acesso_gravacoes: Mapped[bool] = mapped_column(default=False)
    webphone: Mapped[bool] = mapped_column(default=True)
    ura_id: Mapped[int | None]
    voicemail: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[str | None] = mapped_column(String(255))
    criado_em: Mapped[datetime]

    @property
    def usuario(self) -> str:
        """The SIP user name, unique over all contas: two contas may both have a ramal 4000."""
        return f"{self.ramal}c{self.conta_id}"


class Tronco(Base):
    """A carrier: where numbers that are not ours go out."""

    __tablename__ = "tronco"
    __table_args__ = GROWING
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    nome: Mapped[str] = mapped_column(String(40), unique=True)
    host: Mapped[str] = mapped_column(String(255))
    porta: Mapped[int] = mapped_column(default=5060)
    transporte: Mapped[str] = mapped_column(String(3), default="udp")  # udp | tcp
    usuario: Mapped[str | None] = mapped_column(String(120))
    senha: Mapped[str | None] = mapped_column(String(120))
    registra: Mapped[bool] = mapped_column(default=False)  # REGISTER with the carrier; else known by IP
    formato_numero: Mapped[str] = mapped_column(String(10), default="nacional")  # e164 | e164+ | nacional | 0nacional
    bina: Mapped[str | None] = mapped_column(String(40))  # always shown instead of the caller's own
    canais: Mapped[int] = mapped_column(default=30)
    cps: Mapped[int] = mapped_column(default=5)
    classes: Mapped[str] = mapped_column(String(120), default="fixo,movel")
    criado_em: Mapped[datetime]


class Idempotencia(Base):
    """The first answer given to an Idempotency-Key, kept 24 h."""

    __tablename__ = "idempotencia"
    conta_id: Mapped[int] = mapped_column(ForeignKey("conta.id"), primary_key=True)
    chave: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    resposta: Mapped[dict[str, Any]]
    criada_em: Mapped[datetime] = mapped_column(index=True)


class Bloqueio(Base):
    """An address that guessed passwords and is refused for a while."""

    __tablename__ = "bloqueio"
    endereco: Mapped[str] = mapped_column(String(45), primary_key=True)
    desde: Mapped[datetime]
    ate: Mapped[datetime]
    tentativas: Mapped[int]
