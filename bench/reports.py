"""How long a page of /chamada/relatorio takes in a table of a million chamadas.

    python -m bench.reports [--rows N] [--rounds N] [--database X]

A temporary database is filled, the product's own route is asked in this process, cases in turn, and everything is
removed. --database: sqlite (the default), postgresql (a server of our own) or the URL of a PostgreSQL server, where a
database of its own is made and dropped.
"""

import argparse
import asyncio
import gc
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from sqlalchemy import make_url

from bench.filling import SWITCHBOARD, Filled, fill
from telefonista.app import Product, make_app
from telefonista.calling.capacity import Gates
from telefonista.calling.house import House
from telefonista.calling.run import Runner
from telefonista.engine.fake import FakeEngine
from telefonista.settings import Settings
from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage
from telefonista.tronco.carriers import Carriers
from telefonista.tronco.http import Operador

GOAL_MS = 50.0


@dataclass
class Case:
    """One question, asked again and again. `goal`: whether its median must be below GOAL_MS."""

    name: str
    conta: int  # its place in Filled.contas
    query: dict[str, str | int]
    goal: bool = True
    total: int = 0
    milliseconds: list[float] = field(default_factory=list)


def cases(filled: Filled) -> list[Case]:
    day: dict[str, str | int] = {
        "data_inicio": f"{filled.day:%Y-%m-%d}",
        "data_fim": f"{filled.day:%Y-%m-%d}",
        "limite": 200,
    }
    month = {**day, "data_fim": f"{filled.day + timedelta(days=29):%Y-%m-%d}"}
    large = filled.contas[0][0]
    return [
        Case("day", 0, day),
        Case("day, deep", 0, {**day, "posicao": -200}),
        Case("day, origem of every day", 0, {**day, "origem": SWITCHBOARD}),
        Case("day, origem of every day, deep", 0, {**day, "origem": SWITCHBOARD, "posicao": -200}),
        Case("day, rare destino", 0, {**day, "destino": filled.rare[large]}),
        Case("day, origem and destino", 0, {**day, "origem": SWITCHBOARD, "destino": filled.rare[large]}),
        Case("day, ramal as origem", 0, {**day, "origem": "4007"}),
        Case("day of the smallest conta", 4, day),
        Case("30 days", 0, month, goal=False),
        Case("30 days, deep", 0, {**month, "posicao": -200}, goal=False),
        Case("30 days, origem of every day", 0, {**month, "origem": SWITCHBOARD}, goal=False),
    ]


async def measure(url: str, filled: Filled, rounds: int, home: Path) -> tuple[list[Case], dict[str, Any]]:
    """Ask every case `rounds` times, in turn."""
    settings = Settings(_env_file=None, home=home, database_url=url, requests_per_second=0)
    storage, engine = Storage(settings.database), FakeEngine()
    try:
        runner = Runner(engine, storage, Gates(1.0))
        house = House(settings, storage, engine, runner)
        app = make_app(Product(house, Operador("bench", Carriers(storage, engine, Gates(1.0))), engine.settle))
        asked = cases(filled)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://bench") as client:
            for case in asked:  # warm, and where the last page is
                await _ask(client, filled, case)
            gc.collect()
            gc.freeze()
            for _ in range(rounds):
                for case in asked:
                    case.milliseconds.append(await _ask(client, filled, case))
            return asked, await _csv(client, filled)
    finally:
        await storage.close()


async def _ask(client: httpx2.AsyncClient, filled: Filled, case: Case) -> float:
    query = {**case.query}
    if query.get("posicao") == -200:
        query["posicao"] = max(0, case.total - 200)
    began = time.perf_counter()
    answer = await client.get(
        "/chamada/relatorio", params=query, headers={"Access-Token": filled.contas[case.conta][1]}
    )
    took = (time.perf_counter() - began) * 1000
    dados = answer.raise_for_status().json()["dados"]
    case.total = dados["total"]
    if not dados["relatorio"]:
        raise SystemExit(f"{case.name}: nothing was found, so nothing is measured")
    return took


async def _csv(client: httpx2.AsyncClient, filled: Filled) -> dict[str, Any]:
    query = cases(filled)[-3].query | {"formato": "csv"}
    began = time.perf_counter()
    answer = await client.get("/chamada/relatorio", params=query, headers={"Access-Token": filled.contas[0][1]})
    lines = answer.raise_for_status().text.count("\r\n") - 1
    seconds = time.perf_counter() - began
    return {"case": "30 days, csv", "found": lines, "seconds": round(seconds, 2), "per_second": round(lines / seconds)}


@contextmanager
def database(asked: str, home: Path) -> Iterator[str]:
    """The URL of a new database, removed afterwards."""
    if asked == "sqlite":
        yield f"sqlite:///{home / 'bench.db'}"
    elif asked == "postgresql":
        from tests.databases import Postgres, find_programs

        place = Path(tempfile.mkdtemp(prefix="telefonista-bench-pg-"))
        try:
            server = Postgres(find_programs(), place)
            server.start()
            try:
                yield server.url(server.create())
            finally:
                server.stop()
        finally:
            shutil.rmtree(place, ignore_errors=True)
    else:
        url, name = make_url(asked), f"telefonista_bench_{time.time_ns()}"
        door = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(door, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
            try:
                yield url.set(database=name).render_as_string(hide_password=False)
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="telefonista-bench-"))
    try:
        with database(options.database, home) as url:
            backend = make_url(url).get_backend_name()
            began = time.perf_counter()
            migrate(url)
            filled = fill(url, options.rows)
            sys.stderr.write(f"{backend}: {options.rows} chamadas in {time.perf_counter() - began:.0f} s\n")
            asked, table = asyncio.run(measure(url, filled, options.rounds, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    show(backend, options.rows, asked, table)


def show(backend: str, rows: int, asked: list[Case], table: dict[str, Any]) -> None:
    """A table for people, then a line of JSON for each case."""
    said = [f"{'case':<34}{'found':>9}{'p50 ms':>9}{'p90 ms':>9}{'max ms':>9}"]
    lines = []
    for case in asked:
        p50, p90 = statistics.median(case.milliseconds), statistics.quantiles(case.milliseconds, n=10)[-1]
        slow = "  over the goal" if case.goal and p50 >= GOAL_MS else ""
        said.append(f"{case.name:<34}{case.total:>9}{p50:>9.1f}{p90:>9.1f}{max(case.milliseconds):>9.1f}{slow}")
        lines.append({"case": case.name, "found": case.total, "p50_ms": round(p50, 2), "p90_ms": round(p90, 2)})
    said.append(f"{table['case']:<34}{table['found']:>9}  {table['seconds']} s, {table['per_second']} lines/s")
    same = {"bench": "reports", "database": backend, "rows": rows, "host": platform.node(), "cpu": platform.machine()}
    said += [json.dumps({**same, **line}, ensure_ascii=False) for line in [*lines, table]]
    sys.stdout.write("\n".join(said) + "\n")


if __name__ == "__main__":
    main()
