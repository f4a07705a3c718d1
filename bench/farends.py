"""The two telephones of a benchmark: SIPp processes on loopback, A hangs up after its hold, B waits for it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = Path(__file__).parent / "sip"
A_HOST, B_HOST = "127.0.0.2", "127.0.0.3"


class Invalid(Exception):
    """The run proves nothing; the text says why."""


@dataclass
class FarEnds:
    """Both far ends for a number of calls; `hold_ms` from A's ACK to its BYE, `media` = RTP both ways."""

    sipp: tuple[str, ...]
    folder: Path
    a_port: int
    b_port: int
    media_ports: int

    def start(
        self, calls: int, hold_ms: int, *, media: bool
    ) -> tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]:
        """Start both; each ends by itself after its calls, or after two minutes."""
        stream = self.folder / "tom.alaw"
        if media and not stream.exists():
            stream.write_bytes(_tone())
        action = f'<nop><action><exec rtp_stream="{stream},-1,8,PCMA/8000"/></action></nop>' if media else ""
        origem = (SCENARIOS / "origem.xml").read_text().replace("@HOLD@", str(hold_ms)).replace("@MEDIA@", action)
        (self.folder / "origem.xml").write_text(origem)
        (self.folder / "destino.xml").write_text((SCENARIOS / "destino.xml").read_text())
        a = self._run("origem", A_HOST, self.a_port, self.media_ports, calls, ())
        b = self._run("destino", B_HOST, self.b_port, self.media_ports + 4000, calls, ("-rtp_echo",) if media else ())
        return a, b

    def _run(
        self, name: str, host: str, port: int, media_port: int, calls: int, more: tuple[str, ...]
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                *self.sipp, "-sf", f"{name}.xml", "-i", host, "-p", str(port), "-mi", host,
                "-min_rtp_port", str(media_port), "-max_rtp_port", str(media_port + 3999),
                "-m", str(calls), "-timeout", "120s", "-nostdin", "-trace_err", *more,
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


def finish(processes: tuple["subprocess.Popen[bytes]", ...], within: float) -> bool:
    """Whether both far ends saw every call succeed."""
    good = True
    for process in processes:
        try:
            good = process.wait(within) == 0 and good
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            good = False
    return good


def _tone() -> bytes:
    """Ten seconds of 700 Hz in A-law."""
    from tests.phone.audio import alaw_encode, tone

    return bytes(alaw_encode(tone(700, 10.0)).tobytes())
