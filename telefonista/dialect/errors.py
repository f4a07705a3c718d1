"""The refusals a client can meet, one named constructor each; every floor above may raise them."""

from collections.abc import Mapping
from enum import IntEnum
from math import ceil

from starlette.exceptions import HTTPException


class Motivo(IntEnum):
    """The `motivo` of the envelope; 20 and 50 have two meanings each, told apart by the HTTP status."""

    SUCESSO = 0
    NAO_PERMITIDO = 8
    SEM_SALDO = 9
    OBRIGATORIO = 10
    INVALIDO = 11
    DUPLICADO = 20
    NAO_IMPLEMENTADO = 30
    TOKEN = 40
    FALHA = 50
    NAO_ENCONTRADO = 60
    SEM_GRAVACAO = 70
    INATIVA = 80
    ROTA = 90
    CORPO = 100
    TAXA = 100


class DialectError(HTTPException):
    """A refusal that becomes the envelope; an HTTPException so that FastAPI's body reader lets it pass."""

    def __init__(self, status: int, motivo: int, mensagem: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, mensagem, headers)
        self.motivo = int(motivo)

    @property
    def status(self) -> int:
        return self.status_code

    @property
    def mensagem(self) -> str:
        return self.detail


def corpo_invalido() -> DialectError:
    return DialectError(400, Motivo.CORPO, "o corpo da requisição deve ser um objeto JSON, por exemplo {}")


def corpo_grande(limite: int) -> DialectError:
    return DialectError(413, Motivo.CORPO, f"o corpo da requisição é grande demais: envie no máximo {limite} bytes")


def sem_saldo() -> DialectError:
    return DialectError(402, Motivo.SEM_SALDO, "saldo insuficiente: adicione créditos à conta e tente de novo")


def token_invalido() -> DialectError:
    return DialectError(
        403, Motivo.TOKEN, "Access-Token ausente ou incorreto: envie o token da conta no cabeçalho Access-Token"
    )


def nao_permitido(texto: str) -> DialectError:
    """`texto` is a whole sentence: what is not allowed and what to do."""
    return DialectError(403, Motivo.NAO_PERMITIDO, texto)


def nao_encontrado(objeto: str) -> DialectError:
    """`objeto` is the resource's name on the wire; another conta's object is refused with the same words."""
    return DialectError(404, Motivo.NAO_ENCONTRADO, f"não há {objeto} com este id nesta conta: confira o id")


def sem_gravacao() -> DialectError:
    return DialectError(
        404, Motivo.SEM_GRAVACAO, "a chamada não tem gravação: use gravar_audio e aguarde o fim da chamada"
    )


def rota_inexistente() -> DialectError:
    return DialectError(404, Motivo.ROTA, "endereço inexistente nesta API: confira o caminho na documentação em /docs")


def metodo_inexistente(metodo: str, aceitos: str) -> DialectError:
    """The path exists, this method on it does not; `aceitos` such as "GET, POST" also becomes `Allow`."""
    return DialectError(405, Motivo.ROTA, f"o método {metodo} não existe aqui: use {aceitos}", {"Allow": aceitos})


def obrigatorio(*campos: str) -> DialectError:
    if len(campos) == 1:
        return DialectError(405, Motivo.OBRIGATORIO, f"o campo {campos[0]} é obrigatório: informe-o")
    return DialectError(405, Motivo.OBRIGATORIO, f"os campos {', '.join(campos)} são obrigatórios: informe-os")


def invalido(campo: str, aceito: str) -> DialectError:
    """`aceito` says what to send instead, as in "informe true ou false"."""
    return DialectError(405, Motivo.INVALIDO, f"o campo {campo} é inválido: {aceito}")


def duplicado(campo: str) -> DialectError:
    return DialectError(405, Motivo.DUPLICADO, f"já existe um registro com este {campo}: informe outro")


def inativa() -> DialectError:
    return DialectError(405, Motivo.INATIVA, "a chamada não está ativa: consulte o status dela")


def chave_em_uso() -> DialectError:
    return DialectError(
        409, Motivo.DUPLICADO, "a primeira requisição com esta Idempotency-Key ainda não terminou: tente em instantes"
    )


def chave_com_outro_corpo() -> DialectError:
    return DialectError(
        422, Motivo.DUPLICADO, "esta Idempotency-Key já foi usada com outra requisição: use uma chave nova"
    )


def limite_de_taxa(retry_after: float) -> DialectError:
    """`retry_after` in seconds, rounded up to at least 1."""
    segundos = max(1, ceil(retry_after))
    return DialectError(
        429,
        Motivo.TAXA,
        f"limite de requisições da conta atingido: tente de novo em {segundos} s",
        {"Retry-After": str(segundos)},
    )


def erro_interno(id: str) -> DialectError:
    """`id` is the one the log line carries."""
    return DialectError(500, Motivo.FALHA, f"erro interno: tente de novo e, se persistir, informe o código {id}")


def nao_implementado() -> DialectError:
    return DialectError(501, Motivo.NAO_IMPLEMENTADO, "este recurso ainda não está implementado: veja /docs")


def sem_motor(retry_after: float | None = None) -> DialectError:
    """No engine can take the call and nothing was created; `retry_after` in seconds."""
    headers = None if retry_after is None else {"Retry-After": str(max(1, ceil(retry_after)))}
    return DialectError(503, Motivo.FALHA, "telefonia indisponível, nada foi criado: tente em instantes", headers)
