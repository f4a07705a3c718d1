"""`telefonista conta list|create|credit|retencao`: the operator's hand on the contas, also while the server runs."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import cyclopts
from sqlalchemy.orm import Session

from telefonista.billing.ledger import credit as add_credit
from telefonista.conta.queries import create_conta, list_contas, new_token
from telefonista.refusal import Refusal
from telefonista.settings import load
from telefonista.storage.direct import transaction
from telefonista.storage.tables import Conta

LARGEST = Decimal("1000000000")
LONGEST = 3650  # days that recordings may be kept

app = cyclopts.App(name="conta", help="As contas dos clientes: seus saldos e seus tokens.")


class Refused(Refusal):
    """The command was understood and cannot be done; the text says why and what to do, in Portuguese."""


@app.command(name="list")
def list_() -> str:
    """Lista as contas com saldo e reservado (o que as chamadas em curso podem gastar)."""
    with transaction(load().database, writes=False) as session:
        contas = list_contas(session)
    if not contas:
        return "Ainda não há contas: a primeira nasce com `telefonista serve`."
    width = max(4, *(len(conta.nome) for conta in contas))
    lines = [f"{'id':>5}  {'nome':<{width}}  {'saldo':>18}  {'reservado':>18}"]
    lines += [
        f"{conta.id:>5}  {conta.nome:<{width}}  {reais(conta.saldo):>18}  {reais(conta.reservado):>18}"
        for conta in contas
    ]
    return "\n".join(lines)


@app.command
def create(nome: str, /, *, credito: str = "0") -> str:
    """Cria uma conta, que vale na hora, e mostra seu token esta única vez.

    Parameters
    ----------
    nome
        Como a conta se chama (até 120 letras).
    credito
        Com quanto ela começa, em reais: 1234.56 ou 1.234,56.
    """
    nome = nome.strip()
    if not nome or len(nome) > 120 or not nome.isprintable():
        raise Refused("nome: use de 1 a 120 letras, sem quebras de linha.")
    valor = amount(credito) if credito.strip() != "0" else Decimal(0)
    token = new_token()
    with transaction(load().database) as session:
        if not list_contas(session):
            raise Refused("A primeira conta nasce com `telefonista serve`: suba-o uma vez e tente de novo.")
        conta = create_conta(session, nome, token, valor, datetime.now(UTC))
    return (
        f"Conta {conta.id} ({nome}) criada com {reais(conta.saldo)}.\n"
        f"Access-Token: {token}\n"
        "Guarde-o agora: não há como vê-lo de novo."
    )


@app.command
def credit(conta: int, valor: str, /, *, nota: str = "crédito pelo operador") -> str:
    """Põe crédito numa conta; vale na hora.

    Parameters
    ----------
    conta
        O id da conta, como em `telefonista conta list`.
    valor
        Quanto, em reais: 1234.56 ou 1.234,56.
    nota
        Por que, para o extrato (até 255 letras).
    """
    parsed = amount(valor)
    if len(nota) > 255:
        raise Refused("nota: use até 255 letras.")
    with transaction(load().database) as session:
        row = _conta(session, conta)
        add_credit(session, row.id, parsed, datetime.now(UTC), nota)
        session.refresh(row)
    return f"{reais(parsed)} na conta {row.id} ({row.nome}). Saldo: {reais(row.saldo)}."


@app.command
def retencao(conta: int, dias: int, /) -> str:
    """Diz por quantos dias as gravações de uma conta são guardadas; as mais velhas são apagadas todo dia.

    Parameters
    ----------
    conta
        O id da conta, como em `telefonista conta list`.
    dias
        De 1 a 3650; uma conta nasce com 90.
    """
    if not 1 <= dias <= LONGEST:
        raise Refused(f"dias: use de 1 a {LONGEST}.")
    with transaction(load().database) as session:
        row = _conta(session, conta)
        row.retencao_dias = dias
    return f"As gravações da conta {row.id} ({row.nome}) são guardadas por {dias} dias."


def amount(text: str) -> Decimal:
    """R$ above zero, to the cent, from `1234,56`, `1234.56`, `1.234,56` or `1234`; Refused for anything else.

    `1.234` is refused: it may mean a thousand or a little more than one.
    """
    match = re.fullmatch(r"(?:R\$\s*)?(\d{1,3}(?:\.\d{3})+|\d{1,12})(?:([.,])(\d{1,2}))?", text.strip(), re.ASCII)
    if match is None or ("." in match[1] and match[2] != ","):
        raise Refused(f"valor: {text!r} não é uma quantia em reais; escreva por exemplo 1234.56 ou 1.234,56.")
    valor = Decimal(f"{match[1].replace('.', '')}.{match[3] or '0'}")
    if not 0 < valor <= LARGEST:
        raise Refused("valor: use uma quantia maior que zero, até 1.000.000.000,00.")
    return valor


def reais(valor: Decimal) -> str:
    """R$ 1.234,56; a fraction of a cent is shown when there is one."""
    exact = f"{valor.normalize():,f}"
    whole, _, cents = exact.partition(".")
    return f"R$ {whole.replace(',', '.')},{cents:0<2}"


def _conta(session: Session, conta_id: int) -> Conta:
    conta = session.get(Conta, conta_id) if 0 < conta_id < 2**63 else None
    if conta is None:
        raise Refused(f"Não há conta {conta_id}: veja os ids com `telefonista conta list`.")
    return conta
