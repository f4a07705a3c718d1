"""The commands: serve, stop, doctor, migrate, engine, conta, bina, tronco. Everything they do lives elsewhere."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import cyclopts

from telefonista import __version__
from telefonista.refusal import Refusal
from telefonista.settings import SettingsError, load
from telefonista.terminal import explain, make_app

app = make_app(__version__)
app.command("telefonista.conta.cli:app", name="conta", help="As contas dos clientes: saldos e tokens.")
app.command("telefonista.bina.cli:app", name="bina", help="Os números que cada conta pode mostrar a quem chama.")
app.command("telefonista.tronco.cli:app", name="tronco", help="As operadoras por onde saem as ligações externas.")
app.command("telefonista.engine_cli:app", name="engine", help="O motor de telefonia: instalar e ver.")


@app.command
def serve() -> None:
    """Sobe tudo: motor, banco de dados e API. Ctrl-C encerra."""
    import uvloop

    from telefonista.engine.asterisk.process import EngineStartError
    from telefonista.engine.asterisk.tree import InstallError
    from telefonista.logs import setup
    from telefonista.serve import CannotServe
    from telefonista.serve import serve as run
    from telefonista.storage.direct import explaining

    settings = load()
    setup(json=settings.log_format == "json", mask=settings.mask_numbers)
    try:
        with explaining(settings.database):
            uvloop.run(run(settings))
    except (CannotServe, InstallError, EngineStartError) as problem:
        raise Refusal(str(problem)) from None


@app.command
def stop() -> None:
    """Encerra, de outro terminal, o servidor e o motor deste HOME."""
    import asyncio

    from telefonista.stop import stop as run

    settings = load()
    asyncio.run(run(settings.home, settings.drain_seconds, lambda text: print(text, flush=True)))


@app.command
def doctor(*, json: Annotated[bool, cyclopts.Parameter(negative=())] = False) -> int:
    """Diz o que está errado (portas, disco, motor, banco, relógio, rede) e o que fazer.

    O código de saída é 1 quando há algum erro.

    Parameters
    ----------
    json
        Responde em JSON, para outros programas.
    """
    from telefonista.doctor import run

    return run(json=json)


@app.command
def migrate() -> str:
    """Cria ou atualiza as tabelas do banco de dados."""
    from telefonista.storage.direct import explaining, shown
    from telefonista.storage.migrate import migrate as run

    settings = load()
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with explaining(settings.database):
        run(settings.database)
    return f"Banco de dados em dia: {shown(settings.database)}."


def run(tokens: Sequence[str]) -> int:
    """Run one command line; the exit code: 0 done, 1 refused or not well, 2 the line or a setting is wrong."""
    try:
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as problem:
        print(explain(problem), file=sys.stderr)
        return 2
    except SettingsError as problem:
        print(f"Configuração inválida:\n{problem}", file=sys.stderr)
        return 2
    except Refusal as problem:
        print(problem, file=sys.stderr)
        return 1
    if isinstance(result, str):
        print(result)
    return result if isinstance(result, int) else 0


def main() -> NoReturn:
    """The console script."""
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
