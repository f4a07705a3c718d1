"""A real `telefonista serve` in a process of its own, on loopback ports of its own, as a stranger would run it."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
TOKEN = "token-de-teste-0001"

_HARMLESS = re.compile(
    r"Option 'stir_shaken' is no longer supported"  # it adds that itself to the accounts it changes
    r"|Playback failed for sound:"  # whose listener hung up
    r"|Taskprocessor 'stasis/m:ari:application/[^']*' queue reached 500 scheduled tasks"  # events of a burst of calls
)
"""What the engine complains about though nothing is wrong."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One server and its engine. `environment` adds to or replaces its settings."""

    home: Path
    rtp_ports: str
    port: int = field(default_factory=free_port)
    sip_port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    said: str = ""

    def __post_init__(self) -> None:
        first, last = map(int, self.rtp_ports.split("-"))
        while first <= self.sip_port <= last:
            self.sip_port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("TELEFONISTA_")},
            **{key: os.environ[key] for key in ("TELEFONISTA_CACHE",) if key in os.environ},
            "TELEFONISTA_HOME": str(self.home),
            "TELEFONISTA_PORT": str(self.port),
            "TELEFONISTA_SIP_PORT": str(self.sip_port),
            "TELEFONISTA_RTP_PORTS": self.rtp_ports,
            "TELEFONISTA_TOKEN": TOKEN,
            "TELEFONISTA_REQUESTS_PER_SECOND": "0",  # tests look again and again
            "TELEFONISTA_CALLS_PER_SECOND": "0",
            **self.environment,
        }

    def start(self, within: float = 20.0) -> float:
        """Start and wait for the line that says ready; returns the seconds it took."""
        began = time.monotonic()
        log = self.home.with_name(self.home.name + ".log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telefonista", "serve"],
            cwd=ROOT,
            env=self.settings(),
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            start_new_session=True,
        )
        log.close()
        self.said = ""
        self.wait_for("Ctrl-C encerra.", within)
        return time.monotonic() - began

    def wait_for(self, text: str, within: float) -> None:
        """Read its standard output until it has said `text`."""
        assert self.process is not None
        assert self.process.stdout is not None
        deadline = time.monotonic() + within
        while text not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536).decode() if ready else ""
            if not more:
                raise AssertionError(f"the server did not say {text!r}:\n{self.log()}")
            self.said += more

    def log(self) -> str:
        return self.home.with_name(self.home.name + ".log").read_text()

    def kill(self) -> None:
        """kill -9 of the server alone; the engine lives on."""
        assert self.process is not None
        self.process.kill()
        self._reap(5)

    def stop(self) -> int:
        """Ctrl-C until it ends: now, also with calls in progress. Returns the exit code."""
        assert self.process is not None
        for _ in range(10):
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):  # two signals at once would be one
                self.process.wait(1)
                break
        return self._reap(10)

    def _reap(self, within: float) -> int:
        assert self.process is not None
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end:\n{self.log()}") from None
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
        self.process = None
        return code

    def run(self, *arguments: str, **environment: str) -> str:
        """Another command of the product with the same settings; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "telefonista", *arguments],
            cwd=ROOT,
            env={**self.settings(), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # -- the engine behind it ----------------------------------------------------------------------------------------

    def motor(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.home / "motor" / "motor.json").read_text())
        return state

    def ask_engine(self, path: str) -> Any:
        """A question to the engine itself, past the product."""
        state = self.motor()
        answer = httpx2.get(
            f"http://127.0.0.1:{state['ari_port']}/ari{path}", auth=("tel", state["ari_password"]), timeout=5
        )
        answer.raise_for_status()
        return answer.json()

    def complaints(self) -> list[str]:
        """The warnings and errors in the engine's own log."""
        lines = (self.home / "motor" / "log" / "motor.log").read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"^\[[^]]*\] (WARNING|ERROR)", line) and not _HARMLESS.search(line)]

    def recording(self, chamada_id: int) -> dict[str, Any]:
        """What is kept beside the MP3 of a chamada."""
        (sidecar,) = (self.home / "gravacoes").glob(f"*/{chamada_id}.json")
        found: dict[str, Any] = json.loads(sidecar.read_text())
        return found
