"""What stood in the tables at each revision: constants, written once and never again; no default of a model fills them.

A revision after 0001 brings rows for the tables it makes, and in `AFTER` what it must have made of the older ones.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)
LATER = datetime(2026, 3, 1, 12, 1, 30, 0, UTC)

# (table, column) that a later revision takes away on purpose.
GONE: set[tuple[str, str]] = set()

# revision -> table -> rows, in an order that foreign keys allow.
ROWS: dict[str, dict[str, list[Row]]] = {
    "0001": {
        "conta": [
            {
                "id": 7,
                "nome": "Padaria São João",
                "token_hash": "c" * 64,
                "fuso": "America/Manaus",
                "internacional": True,
                "saldo": Decimal("987.654321"),
                "reservado": Decimal("0.35"),
                "criada_em": NOON,
            }
        ],
        "ramal": [
            {
                "id": 4000000007,
                "conta_id": 7,
                "ramal": "4000",
                "login": "ana@padaria",
                "senha": "Segredo123",
                "nome": "Ana",
                "bina": "4832830151",
                "webphone_key": "w" * 32,
                "ligacao_externa": True,
                "ligacao_celular": True,
                "gravar_audio": True,
                "acesso_gravacoes": True,
                "webphone": False,
                "ura_id": 3,
                "voicemail": True,
                "tags": "balcão",
                "criado_em": NOON,
            }
        ],
        "tronco": [
            {
                "id": 2,
                "nome": "operadora",
                "host": "sip.operadora.test",
                "porta": 5080,
                "transporte": "tcp",
                "usuario": "padaria",
                "senha": "senha do tronco",
                "registra": True,
                "formato_numero": "0nacional",
                "bina": "4832830151",
                "canais": 3,
                "cps": 2,
                "classes": "fixo,movel,0800",
                "criado_em": NOON,
            }
        ],
        "rate": [
            {
                "id": 1001,
                "conta_id": 7,
                "classe": "movel",
                "preco_minuto": Decimal("0.123456"),
                "inicial_segundos": 30,
                "incremento_segundos": 6,
                "gratis_segundos": 3,
            }
        ],
        "chamada": [
            {
                "id": 5000000001,
                "conta_id": 7,
                "data_criacao": NOON,
                "agendada_para": None,
                "status_geral": "finalizada",
                "estagio": "fim",
                "conversa_em": NOON,
                "encerrada_em": LATER,
                "desfecho": "origem desligou",
                "ramal_id_origem": 4000000007,
                "tags": "pedido 15",
                "gravar_audio": True,
                "detecta_caixa": True,
                "detecta_caixa_origem": False,
                "detecta_caixa_destino": True,
                "limite_segundos": 14400,
                "toque_segundos": 30,
            },
            {
                "id": 5000000002,
                "conta_id": 7,
                "data_criacao": NOON,
                "agendada_para": LATER,
                "status_geral": "criada",
                "estagio": "criada",
                "conversa_em": None,
                "encerrada_em": None,
                "desfecho": None,
                "ramal_id_origem": None,
                "tags": None,
                "gravar_audio": False,
                "detecta_caixa": False,
                "detecta_caixa_origem": False,
                "detecta_caixa_destino": False,
                "limite_segundos": 60,
                "toque_segundos": 15,
            },
        ],
        "perna": [
            {
                "id": 11,
                "chamada_id": 5000000001,
                "letra": "b",
                "leg": "5000000001-b",
                "papel": "destino",
                "numero": "(48) 99999-0000",
                "e164": "+5548999990000",
                "tipo": "movel",
                "classe": "movel",
                "bina": "4832830151",
                "status": "atendida",
                "substatus": "caixa_postal",
                "data_inicio": NOON,
                "tocou_em": NOON,
                "atendida_em": NOON,
                "encerrada_em": LATER,
                "causa": 16,
                "sip": 200,
                "desligou": True,
                "duracao_segundos": 90,
                "duracao_falada_segundos": 90,
                "duracao_cobrada_segundos": 90,
                "tarifa": {"preco_minuto": "0.123456", "inicial": 30, "incremento": 6, "gratis": 3},
                "reserva": Decimal("0.35"),
                "preco": Decimal("0.185184"),
            }
        ],
        "evento": [
            {
                "id": 31,
                "chamada_id": 5000000001,
                "momento": LATER,
                "tipo": "desligada",
                "perna": "b",
                "dados": {"causa": 16, "sip": None, "por": "far", "nota": "não há"},
            }
        ],
        "ledger_entry": [
            {
                "id": 41,
                "conta_id": 7,
                "perna_id": 11,
                "kind": "capture",
                "turn": 0,
                "valor": Decimal("0.185184"),
                "momento": LATER,
                "nota": None,
            },
            {
                "id": 42,
                "conta_id": 7,
                "perna_id": None,
                "kind": "credit",
                "turn": 0,
                "valor": Decimal("-12.000001"),
                "momento": LATER,
                "nota": "estorno",
            },
        ],
        "gravacao": [
            {
                "id": 51,
                "chamada_id": 5000000001,
                "conta_id": 7,
                "estado": "pronta",
                "arquivo": "5000000001-g",
                "segredo": "s" * 32,
                "iniciada_em": NOON,
                "esperado_ms": 89877,
                "medido_ms": 89900,
                "aviso": "um aviso",
            }
        ],
        "idempotencia": [
            {
                "conta_id": 7,
                "chave": "pedido-15",
                "digest": "d" * 64,
                "resposta": {"id": 5000000001},
                "criada_em": NOON,
            }
        ],
        "bloqueio": [{"endereco": "2001:db8::1", "desde": NOON, "ate": LATER, "tentativas": 11}],
    },
    "0002": {
        "bina": [
            {
                "id": 61,
                "conta_id": 7,
                "numero": "+554832830151",
                "codigo": "h" * 64,
                "tentativas": 2,
                "expira_em": LATER,
                "confirmada_em": None,
                "criada_em": NOON,
            }
        ],
        "webhook": [
            {
                "conta_id": 7,
                "nome": "chamada_fim",
                "url": "https://cliente.test/aqui",
                "segredo": "whsec_c2VncmVkbw==",
                "criado_em": NOON,
            }
        ],
        "entrega": [
            {
                "id": 71,
                "conta_id": 7,
                "nome": "chamada_fim",
                "ordem": "chamada-5000000001",
                "corpo": {"id": 5000000001, "tags": "balcão"},
                "estado": "pendente",
                "tentativas": 1,
                "criada_em": NOON,
                "proxima_em": LATER,
                "entregue_em": None,
            }
        ],
        "tentativa": [
            {
                "id": 81,
                "entrega_id": 71,
                "momento": LATER,
                "url": "https://cliente.test/aqui",
                "status": None,
                "erro": "tempo esgotado",
                "milissegundos": 10000,
            }
        ],
        "gravacao_parte": [
            {
                "id": 91,
                "gravacao_id": 51,
                "ordem": 1,
                "nome": "5000000001-g.1",
                "lado": "origem",
                "iniciada_em": NOON,
                "encerrada_em": LATER,
            }
        ],
        "gravacao_acesso": [{"id": 101, "gravacao_id": 51, "momento": LATER, "por": "link", "endereco": "2001:db8::1"}],
    },
    "0003": {
        "conferencia": [
            {
                "id": 111,
                "conta_id": 7,
                "data_criacao": NOON,
                "encerrada_em": LATER,
                "pin": "004321",
                "numero_destino": "4832830151",
                "url_conferencia": "https://cliente.test/sala.mp3",
                "gravar_conferencia": True,
                "resposta_usuario": True,
                "resposta": "8#",
            }
        ],
        "participante": [{"chamada_id": 5000000001, "conferencia_id": 111, "mudo": True}],
    },
    "0004": {
        "audio": [
            {
                "chamada_id": 5000000001,
                "conta_id": 7,
                "url_audio": "https://cliente.test/audio.mp3",
                "arquivo": "1-" + "a" * 48,
                "duracao_ms": 12345,
                "resposta_usuario": True,
                "resposta": "1",
                "na_fila": False,
                "quando": NOON,
                "tronco_id": 2,
            }
        ],
    },
}


def _after_0002(connection: Connection) -> None:
    """Every recording has one part, the file it had; contas keep recordings for 90 days."""
    parts = connection.execute(text("SELECT gravacao_id, ordem, nome, lado, encerrada_em FROM gravacao_parte")).all()
    assert [tuple(part) for part in parts] == [(51, 1, "5000000001-g", "destino", None)]
    assert connection.scalar(text("SELECT tipo FROM gravacao WHERE id = 51")) == "completa"
    assert connection.scalar(text("SELECT retencao_dias FROM conta WHERE id = 7")) == 90


def _after_0003(connection: Connection) -> None:
    """Every call there was is a chamada."""
    assert connection.scalars(text("SELECT DISTINCT recurso FROM chamada")).all() == ["chamada"]


AFTER: dict[str, Callable[[Connection], None]] = {"0002": _after_0002, "0003": _after_0003}
