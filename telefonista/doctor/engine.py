"""The engine: its program, its process, what its log complains about, which telephones it knows."""

import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import aiohttp

from telefonista.doctor.result import Result, error, ok, warning
from telefonista.engine.asterisk.install import RECIPE, STAMP, InstallError
from telefonista.engine.asterisk.state import Running
from telefonista.engine.asterisk.tree import machine_tree

WITHIN = 5.0
_LINE = re.compile(
    r"\[(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\] (?P<level>WARNING|ERROR)\[[^]]*\][^ ]* (?P<text>.*)"
)
_RAMAL = re.compile(r"\d+c\d+")
"""The engine's name of a ramal's account; trunks are called otherwise."""
_TAIL = 1_000_000
_OUR_END = ("Web socket closed abruptly", "WebSocket read error")
"""What the engine (22.10) says when a server of ours is killed: nothing is wrong with it."""


def program(cache: Path, asterisk: Path | None) -> Result:
    """Which engine is installed. Nothing is downloaded here."""
    item = "programa do motor"
    if asterisk is not None:
        try:
            return ok(item, f"Asterisk {machine_tree(asterisk).version}, de TELEFONISTA_ASTERISK ({asterisk})")
        except InstallError as problem:
            return error(item, str(problem), "Corrija TELEFONISTA_ASTERISK, ou tire-o.")
    stamps = list(cache.glob(f"motor-{RECIPE}-*/{STAMP}"))
    if not stamps:
        return ok(item, "ainda não instalado; `telefonista serve` ou `telefonista engine install` o baixa (90 MB)")
    try:
        version = json.loads(stamps[0].read_text())["motor"]
    except (OSError, ValueError, KeyError):
        return error(
            item, f"a instalação em {stamps[0].parent} está estragada", "Apague essa pasta e rode `telefonista serve`."
        )
    return ok(item, f"Asterisk {version} em {stamps[0].parent}")


def process(running: Running | None, answers: bool, *, served: bool) -> Result:
    """`answers`: it replied to a ping. `served`: a server of ours is up, and should have an engine."""
    item = "motor"
    if running is None:
        if served:
            return error(
                item,
                "parado com o servidor de pé",
                "Ele se levanta sozinho em segundos; se não, veja motor/log/motor.log na pasta de dados.",
            )
        return ok(item, "parado, como o servidor")
    if not answers:
        return error(
            item, f"o processo {running.pid} não responde", "Rode `telefonista stop` e depois `telefonista serve`."
        )
    if not served:
        return warning(
            item,
            f"vive (pid {running.pid}) sem servidor: as chamadas em curso continuam",
            "`telefonista serve` o retoma; `telefonista stop` o encerra.",
        )
    since = f"{datetime.fromtimestamp(running.started_at).astimezone():%d/%m %H:%M:%S}"
    return ok(item, f"responde (pid {running.pid}), em execução desde {since}")


def log(path: Path, started_at: float) -> Result:
    """Warnings and errors in the engine's own log since this engine started (seconds since 1970)."""
    item = "registro do motor"
    found: list[str] = []
    levels: Counter[str] = Counter()
    for match in _LINE.finditer(_tail(path)):
        if any(said in match["text"] for said in _OUR_END):
            continue
        # the log has local time and milliseconds
        if datetime.fromisoformat(match["at"]).astimezone().timestamp() >= started_at - 0.001:
            levels[match["level"]] += 1
            found.append(match["text"])
    if not found:
        return ok(item, "sem avisos desde a partida")
    counted = ", ".join(f"{count} {level}" for level, count in levels.items())
    last = "; ".join(dict.fromkeys(found[-3:]))
    return warning(item, f"{counted} desde a partida; por último: {last}", f"Leia {path}.")


def ramais(online: int, known: int) -> Result:
    text = f"{online} de {known} registrados no motor" if known else "nenhum cadastrado"
    if known and not online:
        return ok("ramais", text, "Se esperava telefones aqui, confira neles servidor, usuário e senha.")
    return ok("ramais", text)


async def ask(running: Running, path: str) -> object | None:
    """A GET of the engine's interface; None when it does not answer 200 within 5 s."""
    auth = {"Authorization": aiohttp.encode_basic_auth(running.user, running.password)}
    try:
        async with (
            aiohttp.ClientSession(headers=auth, timeout=aiohttp.ClientTimeout(total=WITHIN)) as http,
            http.get(f"{running.ari_url}{path}") as answer,
        ):
            return await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def count_ramais(endpoints: object) -> tuple[int, int]:
    """(online, all) of what `GET /endpoints` lists."""
    states = [entry["state"] for entry in _dicts(endpoints) if _RAMAL.fullmatch(str(entry.get("resource")))]
    return states.count("online"), len(states)


def _dicts(value: object) -> list[dict[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
