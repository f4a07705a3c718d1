"""A throw-away product with two trunks to the far ends, and the bare engine beside it in the same process."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.farends import A_HOST, B_HOST, FarEnds
from telefonista.engine.asterisk import ctl
from telefonista.engine.asterisk.install import ensure_tool
from tests.e2e.server import TOKEN, Server, free_port

CACHE = Path.home() / ".cache" / "telefonista"


@dataclass
class Cpu:
    """User and system seconds of the engine and of the product."""

    engine: float
    product: float

    def since(self, before: "Cpu") -> "Cpu":
        return Cpu(self.engine - before.engine, self.product - before.product)


@dataclass
class Rig:
    """`start` once, then place calls by either path; `stop` ends everything and removes the folder."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="telefonista-bench-")))

    async def start(self) -> None:
        sipp = shutil.which("sipp")
        argv = (
            (sipp,)
            if sipp
            else await ensure_tool(CACHE, "sip-tester", "usr/bin/sipp", progress=lambda text, done: None)
        )
        self.far = FarEnds(argv, self.folder, free_port(), free_port(), 40000)
        self.server = Server(
            self.folder / "h",
            "22000-29999",
            environment={
                "TELEFONISTA_TEST_CREDIT": "1000000",
                "TELEFONISTA_REQUESTS_PER_SECOND": "0",
                "TELEFONISTA_CALLS_PER_SECOND": "0",
                "TELEFONISTA_CONFIRMED_BINA": "0",
            },
        )
        await asyncio.to_thread(self.server.start, 60)
        for nome, host, port, classe in (
            ("a", A_HOST, self.far.a_port, "fixo"),
            ("b", B_HOST, self.far.b_port, "movel"),
        ):
            await asyncio.to_thread(
                self.server.run, "tronco", "add", nome, "--host", host, "--porta", str(port), "--classes", classe,
                "--canais", "5000", "--cps", "1000",
            )  # fmt: skip
        state = self.server.motor()
        self.pids = (state["pid"], self._product())
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._ari = f"http://127.0.0.1:{state['ari_port']}/ari"
        self._auth = {"Authorization": aiohttp.encode_basic_auth("tel", state["ari_password"])}
        socket = self.server.home / "motor" / "run" / "asterisk.ctl"
        # What the bare engine needs and the product does not: the dialplan's own Dial().
        await ctl.command(socket, "module load app_dial.so")
        await ctl.command(socket, "dialplan add extension _X.,1,Dial(PJSIP/${EXTEN}@tronco-2) into bare")

    async def stop(self) -> None:
        await self.http.close()
        await asyncio.to_thread(self.server.stop)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def ours(self, a: str, b: str, *, record: bool = False) -> None:
        corpo = {"numero_origem": a, "numero_destino": b, "gravar_audio": record}
        async with self.http.post(f"{self.server.url}/chamada", json=corpo, headers={"Access-Token": TOKEN}) as answer:
            await answer.read()
            answer.raise_for_status()

    async def bare(self, a: str, b: str, *, record: bool = False) -> None:
        query = {"endpoint": f"PJSIP/{a}@tronco-1", "context": "bare", "extension": b, "priority": "1", "callerId": b}
        async with self.http.post(f"{self._ari}/channels", params=query, headers=self._auth) as answer:
            await answer.read()
            answer.raise_for_status()

    def cpu(self) -> Cpu:
        return Cpu(*(_seconds(pid) for pid in self.pids))

    def _product(self) -> int:
        assert self.server.process is not None
        return self.server.process.pid


def _seconds(pid: int) -> float:
    """User and system time of a process and its ended children, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / 100
