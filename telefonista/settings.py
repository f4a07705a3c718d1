"""Every setting of the product: read once at start from TELEFONISTA_* and `.env`; anybody may hold them."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from telefonista.settings_checks import Address, Database, Directory, Host, Ports, Token, WebUrl
from telefonista.settings_errors import explain


def _xdg(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "telefonista"


class SettingsError(Exception):
    """The settings cannot be used; the message names each variable and says what is accepted."""


class Settings(BaseSettings):
    """Settings by environment `TELEFONISTA_<NAME>` or a `.env` file in the working directory."""

    model_config = SettingsConfigDict(
        env_prefix="TELEFONISTA_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    home: Directory = Field(default_factory=lambda: _xdg("XDG_DATA_HOME", ".local/share"))  # all we keep
    cache: Directory = Field(default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache"))  # the engine's program
    host: Host = "127.0.0.1"  # where the API listens
    port: int = Field(8080, ge=1, le=65535)
    sip_host: Address = "127.0.0.1"  # where telephones and trunks reach the engine; 0.0.0.0 = every interface
    sip_port: int = Field(5060, ge=1024, le=65535)
    rtp_ports: Ports = (20000, 20999)  # first-last, two ports a leg
    database_url: Database = ""  # empty = SQLite in HOME
    token: Token = ""  # fixes the first conta's Access-Token; empty = made once and kept in HOME
    public_url: WebUrl = ""  # what links in answers start with; empty = http://HOST:PORT
    external_ip: Address = ""  # the address behind which telephones see us (NAT)
    asterisk: Path | None = None  # use this engine binary (>= 20) instead of our own
    ring_seconds: int = Field(30, ge=1, le=300)  # how long a telephone rings before "sem resposta"
    max_call_seconds: int = Field(14400, ge=10, le=86400)  # enforced inside the engine, also with us dead
    test_network: bool = True  # the numbers of DDD 10 that behave
    test_credit: Decimal = Field(Decimal("1000.00"), ge=0, le=1_000_000_000)  # R$ that the first conta starts with
    trunk_wait_seconds: int = Field(10, ge=0, le=60)  # how long a call waits for a place in a full trunk
    confirmed_bina: bool = True  # by a trunk only confirmed numbers of the conta, or the trunk's own, are shown
    requests_per_second: int = Field(20, ge=0, le=100_000)  # of one conta in the long run, beyond it 429; 0 = any
    requests_burst: int = Field(40, ge=1, le=100_000)  # and so many at once
    calls_per_second: int = Field(5, ge=0, le=1000)  # of one conta, placed at once or fallen due; 0 = any
    calls_burst: int = Field(10, ge=1, le=1000)  # so many placed at once before the rate counts
    internal_urls: bool = False  # webhooks and audio may lead to loopback and private addresses: development only
    conference_tones: bool = True  # those in a room hear a tone when somebody comes or goes
    drain_seconds: int = Field(30, ge=0, le=3600)  # how long the first Ctrl-C waits for calls in progress
    log_format: Literal["text", "json"] = "text"
    mask_numbers: bool = False  # telephone numbers in the log as 4832****51

    @model_validator(mode="after")
    def _no_clash(self) -> "Settings":
        if self.rtp_ports[0] <= self.sip_port <= self.rtp_ports[1]:
            raise ValueError("TELEFONISTA_SIP_PORT cai dentro de TELEFONISTA_RTP_PORTS: escolha outra porta")
        if self.sip_port == self.port:
            raise ValueError("TELEFONISTA_SIP_PORT e TELEFONISTA_PORT são a mesma porta: mude uma delas")
        return self

    @property
    def database(self) -> str:
        """The database's URL, for SQLAlchemy and Alembic alike."""
        return self.database_url or f"sqlite:///{self.home / 'telefonista.db'}"

    @property
    def base_url(self) -> str:
        """What a client on this machine (or behind PUBLIC_URL) calls us, without a trailing slash."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def recordings(self) -> Path:
        return self.home / "gravacoes"


def load() -> Settings:
    """Read and check the settings. Raises SettingsError with one line for each bad variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(explain(error)) from None
