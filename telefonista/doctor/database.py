"""The database: there, answering, at the newest tables; and which addresses are blocked."""

from datetime import datetime

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from telefonista.doctor.result import Result, error, ok, warning
from telefonista.ramal.guard import list_blocks
from telefonista.storage.direct import Unreachable, require, shown, transaction
from telefonista.storage.migrate import config

SHOWN = 20


def tables(url: str) -> Result:
    item = "banco de dados"
    try:
        require(url)
    except Unreachable:
        return ok(item, f"{shown(url)} ainda não existe; `telefonista serve` o cria")
    try:
        with transaction(url, writes=False) as session:
            now = MigrationContext.configure(session.connection()).get_current_heads()
    except Unreachable as problem:
        return error(item, str(problem), "Sem o banco a telefonista não sobe.")
    scripts = ScriptDirectory.from_config(config(url))
    if set(now) == set(scripts.get_heads()):
        return ok(item, f"{shown(url)} responde, tabelas em dia ({', '.join(now)})")
    if not now:
        return warning(item, f"{shown(url)} responde, ainda sem tabelas", "`telefonista serve` as cria.")
    known = {script.revision for script in scripts.walk_revisions()}
    if not set(now) <= known:
        return error(
            item,
            f"as tabelas ({', '.join(now)}) são de uma versão mais nova da telefonista",
            "Atualize a telefonista; esta versão não deve usar este banco.",
        )
    return error(
        item,
        f"as tabelas são antigas ({', '.join(now)})",
        "Rode `telefonista migrate`, ou suba o servidor de novo, que o faz.",
    )


def blocked(url: str, now: datetime) -> Result:
    """The addresses that guessed passwords; times in the machine's own zone."""
    item = "endereços bloqueados"
    try:
        with transaction(url, writes=False) as session:
            found = list_blocks(session, now)
    except Unreachable:
        return ok(item, "não há (o banco ainda não serve)")
    if not found:
        return ok(item, "nenhum")
    lines = [
        f"{row.endereco} até {row.ate.astimezone():%H:%M:%S} ({row.tentativas} tentativas)" for row in found[:SHOWN]
    ]
    if len(found) > SHOWN:
        lines.append(f"e mais {len(found) - SHOWN}")
    return warning(
        item,
        "; ".join(lines),
        "Se é um telefone seu, corrija nele usuário e senha e espere o fim do bloqueio; se não é, nada a fazer.",
    )
