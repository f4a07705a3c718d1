"""`telefonista engine install|status`: the engine's program, apart from serving."""

import asyncio
import sys

import cyclopts

from telefonista.engine.asterisk import state
from telefonista.engine.asterisk.install import InstallError, ensure_engine
from telefonista.refusal import Refusal
from telefonista.settings import load

app = cyclopts.App(name="engine", help="O motor de telefonia: instalar e ver.")


@app.command
def install() -> str:
    """Baixa e instala o motor na pasta de cache, se ainda não está lá (sem root)."""
    from telefonista.serve import _progress as progress_line

    settings = load()
    try:
        with progress_line() as progress:
            tree = asyncio.run(ensure_engine(settings.cache, asterisk=settings.asterisk, progress=progress))
    except InstallError as problem:
        raise Refusal(str(problem)) from None
    return f"Motor {tree.version} pronto em {tree.root or tree.command[0]}."


@app.command
def status() -> int:
    """Diz se o motor deste HOME está em execução; código de saída 1 quando não está."""
    directory = load().home / "motor"
    running = state.status(directory)
    if running is None:
        sys.stdout.write(f"Nenhum motor em execução em {directory}.\n")
        return 1
    sys.stdout.write(f"Motor em execução em {directory} (pid {running.pid}).\n")
    return 0
