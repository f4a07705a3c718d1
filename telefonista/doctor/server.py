"""The server: whether it runs and whether it says it is ready."""

import aiohttp

from telefonista.doctor.result import Result, error, ok, warning
from telefonista.presence import Server

WITHIN = 5.0


def server(starting: Server | None, ready: Server | None, answer: tuple[int, str] | None) -> Result:
    """`answer` is what /readyz said: status and mensagem; None when nothing was heard."""
    item = "servidor"
    if starting is None:
        return warning(item, "parado", "Suba-o com `telefonista serve` (ou `make serve`).")
    if ready is None:
        return warning(item, f"subindo (pid {starting.pid})", "Espere alguns segundos e rode de novo.")
    if answer is None:
        return error(
            item, f"o processo {ready.pid} não responde", "Rode `telefonista stop` e depois `telefonista serve`."
        )
    status, text = answer
    if status != 200:
        return error(item, f"de pé (pid {ready.pid}), mas não está pronto: {text}", "Veja abaixo o que falta.")
    return ok(item, f"pronto para chamadas (pid {ready.pid})")


async def readyz(url: str) -> tuple[int, str] | None:
    """What the server at `url` says of itself; None when it says nothing within 5 s."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN)) as http,
            http.get(f"{url}/readyz") as answer,
        ):
            said = await answer.json(content_type=None)
            return answer.status, str(said.get("mensagem", "")) if isinstance(said, dict) else ""
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
