"""One engine's directory, addresses and secrets; made by the wiring and the tests, read by conf, process and ctl."""

import hashlib
import wave
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

LONGEST_SOCKET = 107
"""sun_path of unix(7) holds 108 bytes with its final NUL."""


@dataclass(frozen=True)
class Instance:
    """Everything that tells one engine from another on the same machine.

    `directory` is absolute. `sip_host` is an address, not a name. `rtp_ports` is (first, last), both used.
    `external_ip` is the address seen from outside a NAT. `ari_port` and `ari_password` are made anew at each engine
    boot (0 and "" before that).
    """

    directory: Path
    sip_host: str
    sip_port: int
    rtp_ports: tuple[int, int]
    external_ip: str | None = None
    ari_port: int = 0
    ari_password: str = field(default="", repr=False)
    test_network: bool = True

    def __post_init__(self) -> None:
        if not self.directory.is_absolute():
            raise ValueError(f"the engine's directory must be absolute: {self.directory}")
        ip_address(self.sip_host)

    @property
    def entity_id(self) -> str:
        """The engine's name in every event: a locally administered MAC, so that two engines on a host differ."""
        digest = hashlib.sha256(str(self.directory).encode()).digest()
        return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])

    @property
    def rede_port(self) -> int:
        """The test network's SIP port: the SIP port, but not beside a wildcard, which already takes it everywhere."""
        if not ip_address(self.sip_host).is_unspecified:
            return self.sip_port
        return self.sip_port + (10_000 if self.sip_port + 10_000 < 65_536 else -10_000)

    @property
    def etc(self) -> Path:
        return self.directory / "etc"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def spool(self) -> Path:
        return self.directory / "spool"

    @property
    def recording(self) -> Path:
        return self.spool / "recording"

    @property
    def db(self) -> Path:
        return self.directory / "db"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def cache(self) -> Path:
        return self.directory / "cache"

    @property
    def sounds(self) -> Path:
        return self.directory / "sounds"

    @property
    def cel(self) -> Path:
        """The engine's own record of channels: one JSON object a line, the file reopened at each write."""
        return self.log / "cel-custom" / "cel.json"

    @property
    def motor_log(self) -> Path:
        return self.log / "motor.log"

    @property
    def security_log(self) -> Path:
        return self.log / "seguranca.log"

    @property
    def boot_log(self) -> Path:
        """What the engine says outside its own log, for example a library that is missing."""
        return self.log / "partida.log"

    @property
    def ctl(self) -> Path:
        """The engine's console socket."""
        return self.run / "asterisk.ctl"

    @property
    def state(self) -> Path:
        return self.directory / "motor.json"

    def prepare(self) -> None:
        """Create every directory (0700), also those the engine needs and does not create (22.10).

        ValueError when the directory's name is too long for a socket or holds a line break.
        """
        if len(bytes(self.ctl)) > LONGEST_SOCKET:
            raise ValueError(f"O caminho {self.directory} é longo demais: use em TELEFONISTA_HOME um mais curto.")
        if any(ord(character) < 32 for character in str(self.directory)):
            raise ValueError("O caminho de TELEFONISTA_HOME tem uma quebra de linha ou outro sinal de controle.")
        for path in (
            self.directory,
            self.etc,
            self.run,
            self.log,
            self.log / "cel-custom",
            self.log / "cdr-custom",
            self.spool,
            self.recording,
            self.db,
            self.keys,
            self.keys / "keys",
            self.cache,
            self.sounds,
            self.sounds / "moh",
        ):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        moh = self.sounds / "moh"
        if not any(moh.iterdir()):  # without a file the engine warns and has no music class at all
            with wave.open(str(moh / "silencio.wav"), "wb") as silence:
                silence.setparams((1, 2, 8000, 0, "NONE", ""))
                silence.writeframes(bytes(2 * 8000))
