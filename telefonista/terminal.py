"""How the command line speaks: cyclopts 5 with Portuguese headings and errors; for `__main__` only."""

import cyclopts
from cyclopts import Group
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

COMMANDS = Group.create_ordered("Comandos")


def make_app(version: str) -> cyclopts.App:
    """The root of all commands."""
    app = cyclopts.App(
        name="telefonista",
        version=version,
        help="A telefonista: uma plataforma de voz inteira num comando.",
        group_commands=COMMANDS,
        group_parameters=Group("Opções"),
        group_arguments=Group("Argumentos"),
        usage="Uso: telefonista COMANDO   (telefonista COMANDO --help explica cada um)",
    )
    app["--help"].help = "Mostra esta ajuda."
    app["--version"].help = "Mostra a versão."
    return app


def explain(problem: CycloptsError) -> str:
    """What is wrong with a command line, in Portuguese."""
    where = " ".join(["telefonista", *(problem.command_chain or ())])
    return f"{_what(problem)} Veja `{where} --help`."


def _what(problem: CycloptsError) -> str:
    match problem:
        case UnknownCommandError():
            return f"Não há o comando {(problem.unused_tokens or ['?'])[0]!r}."
        case UnknownOptionError():
            return f"Não há a opção {problem.token.keyword or problem.token.value!r}."
        case MissingArgumentError() if problem.argument is not None:
            return f"Falta {problem.keyword or problem.argument.name}."
        case CoercionError() if problem.argument is not None and problem.token is not None:
            kind = "um número inteiro" if problem.target_type is int else "o que se espera"
            return f"{problem.argument.name}: {problem.token.value!r} não é {kind}."
        case RepeatArgumentError():
            return f"{problem.token.keyword or problem.token.value} foi dado mais de uma vez."
        case UnusedCliTokensError():
            return f"Sobrou {' '.join(problem.unused_tokens or ())!r} na linha."
        case _:
            return str(problem)
