"""What an ending means to the customer: status and motivo_desconexao from SIP code and Q.850 cause, in one place."""

from enum import StrEnum

from telefonista.engine.port import By


class Status(StrEnum):
    """A leg's status, as the customer reads it."""

    PREPARANDO = "preparando"
    CHAMANDO = "chamando"
    ATENDIDA = "atendida"
    SEM_RESPOSTA = "sem resposta"
    OCUPADO = "ocupado"
    CONGESTIONADO = "congestionado"
    FALHA = "falha"
    CANCELADA = "cancelada"
    NAO_EXISTE = "não existe"


# The list of the seed (ligacoes.md, motivo_desconexao), completed by the causes this engine also gives.
MOTIVOS = {
    1: "telefone não existe",
    2: "sem rota para a rede de destino",
    3: "sem rota para o destino",
    4: "prefixo incorreto",
    6: "canal inaceitável",
    7: "chamada sendo entregue em canal ja estabelecido",
    8: "call peemption",
    14: "telefone portado para outra operadora",
    16: "normal",
    17: "ocupado",
    18: "sem resposta",
    19: "sem resposta - mas chamou",
    20: "assinante ausente",
    21: "chamada rejeitada",
    22: "este número mudou",
    23: "redirecionado para novo destino",
    26: "atendido em outro lugar",
    27: "destino não está funcionando",
    28: "formato inválido de número",
    29: "rejeitado",
    30: "resposta para status enquiry",
    31: "normal, não especificado",
    34: "sem canal disponível",
    38: "rede fora de serviço",
    41: "falha temporária",
    42: "equipamento congestionado",
    44: "canal requisitado não está disponível",
    50: "não cadastrado",
    52: "chamada sainte barrada",
    54: "chamada entrante barrada",
    57: "capacidade não autorizada",
    58: "erro de mídia ou parâmetros incompatíveis",
    65: "capacidade do portador não implementada",
    66: "tipo de canal não implementado",
    69: "não implementado",
    81: "valor de referência inválido",
    88: "destino incompatível",
    95: "mensagem inválida não especificada",
    96: "informação obrigatória não presente",
    97: "mensagem não implementada",
    98: "mensagem não compatível com o estado da chamada não existente ou não implementada",
    99: "elemento não existente ou não implementada",
    100: "informação inválida no conteúdo dos elementos",
    101: "mensagem não compatível com o estado da chamada",
    102: "timeout",
    111: "erro de protocolo",
    127: "erro de conectividade",
}

_BY_SIP = {
    404: Status.NAO_EXISTE,
    410: Status.NAO_EXISTE,
    484: Status.NAO_EXISTE,
    485: Status.NAO_EXISTE,
    604: Status.NAO_EXISTE,
    486: Status.OCUPADO,
    600: Status.OCUPADO,
    408: Status.SEM_RESPOSTA,
    480: Status.SEM_RESPOSTA,
    487: Status.CANCELADA,
    503: Status.CONGESTIONADO,
    513: Status.CONGESTIONADO,
    580: Status.CONGESTIONADO,
}
_BY_CAUSE = {
    1: Status.NAO_EXISTE,
    22: Status.NAO_EXISTE,
    28: Status.NAO_EXISTE,
    17: Status.OCUPADO,
    18: Status.SEM_RESPOSTA,
    19: Status.SEM_RESPOSTA,
    20: Status.SEM_RESPOSTA,
    34: Status.CONGESTIONADO,
    42: Status.CONGESTIONADO,
    16: Status.CANCELADA,
    26: Status.CANCELADA,
}


def status_of(cause: int, sip: int | None, by: By) -> Status:
    """How a leg that was never answered ended. The SIP code decides, the cause only where there is none."""
    if by is By.ENGINE:
        return Status.FALHA
    if sip is not None:
        return _BY_SIP.get(sip, Status.FALHA)
    return _BY_CAUSE.get(cause, Status.FALHA)


def motivo_desconexao(cause: int | None) -> str:
    """The seed's text of a Q.850 cause; "indefinido" before the end."""
    if cause is None:
        return "indefinido"
    return f"{cause}. {MOTIVOS.get(cause, 'motivo desconhecido')}"
