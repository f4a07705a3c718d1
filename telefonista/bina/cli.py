"""`telefonista bina add|list|remove`: the operator vouches for a conta's numbers, also while the server runs."""

from datetime import UTC, datetime

import cyclopts

from telefonista.bina import queries
from telefonista.calling.routing import as_shown
from telefonista.dialect.errors import DialectError
from telefonista.refusal import Refusal
from telefonista.settings import load
from telefonista.storage.direct import transaction
from telefonista.storage.tables import Conta

app = cyclopts.App(name="bina", help="Binas: os números que cada conta pode mostrar a quem chama.")


class Refused(Refusal):
    """The command was understood and cannot be done; the text says why and what to do, in Portuguese."""


@app.command
def add(numero: str, /, *, conta: int) -> str:
    """Confirma um número sem ligar para ele; vale na hora.

    Quem opera responde por ele: mostrar um número alheio é proibido.

    Parameters
    ----------
    numero
        DDD + número.
    conta
        O id da conta, como em `telefonista conta list`.
    """
    e164 = _e164(numero)
    with transaction(load().database) as session:
        if not 0 < conta < 2**63 or session.get(Conta, conta) is None:
            raise Refused(f"Não há conta {conta}: veja os ids com `telefonista conta list`.")
        queries.add_confirmed(session, conta, e164, datetime.now(UTC))
    return f"A conta {conta} pode mostrar {as_shown(e164)}."


@app.command(name="list")
def list_(*, conta: int | None = None) -> str:
    """Mostra as binas e se estão confirmadas.

    Parameters
    ----------
    conta
        Só as desta conta.
    """
    with transaction(load().database, writes=False) as session:
        _, binas = queries.list_binas(session, conta)
    if not binas:
        return "Ainda não há binas: confirme uma com `telefonista bina add NUMERO --conta ID`."
    lines = [f"{'conta':>5}  {'número':<16}  estado"]
    lines += [
        f"{bina.conta_id:>5}  {as_shown(bina.numero):<16}  {'confirmada' if bina.confirmada_em else 'não confirmada'}"
        for bina in binas
    ]
    return "\n".join(lines)


@app.command
def remove(numero: str, /, *, conta: int) -> str:
    """Remove um número das binas de uma conta; vale na hora.

    Parameters
    ----------
    numero
        DDD + número.
    conta
        O id da conta.
    """
    e164 = _e164(numero)
    with transaction(load().database) as session:
        bina = queries.bina_by_numero(session, conta, e164) if 0 < conta < 2**63 else None
        if bina is None:
            raise Refused(f"A conta {conta} não tem a bina {as_shown(e164)}: veja com `telefonista bina list`.")
        session.delete(bina)
    return f"A conta {conta} já não pode mostrar {as_shown(e164)}."


def _e164(numero: str) -> str:
    try:
        return queries.e164_of_bina(numero)
    except DialectError as problem:
        raise Refused(problem.mensagem) from None
