"""Settings: each variable is checked, the message names it and says what is accepted; `.env` is read where we stand."""

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest

from telefonista.settings import Settings, SettingsError, load

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TELEFONISTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


BAD = [
    ("PORT", "x", "use um número inteiro (veio 'x')"),
    ("PORT", "0", "use 1 ou mais (veio '0')"),
    ("PORT", "65536", "use 65535 ou menos (veio '65536')"),
    ("PORT", "8080.5", "use um número inteiro (veio '8080.5')"),
    ("SIP_PORT", "80", "use 1024 ou mais (veio '80')"),
    ("HOST", "http://0.0.0.0", "use um endereço ou nome sem http:// nem porta"),
    ("HOST", "127.0.0.1:8080", "use um endereço ou nome sem http:// nem porta"),
    ("SIP_HOST", "localhost", "use um endereço IPv4"),
    ("SIP_HOST", "::1", "use um endereço IPv4"),
    ("EXTERNAL_IP", "minha.casa", "use um endereço IPv4"),
    ("RTP_PORTS", "20000", "use primeira-ultima"),
    ("RTP_PORTS", "20999-20000", "use primeira-ultima"),
    ("RTP_PORTS", "60000-70000", "use primeira-ultima"),
    ("RTP_PORTS", "20000-20001", "pelo menos 4 portas"),
    ("DATABASE_URL", "mysql://x", "use sqlite:////"),
    ("DATABASE_URL", "sqlite:///", "use sqlite:////"),
    ("DATABASE_URL", "postgresql+psycopg://u:p@host:porta/banco", "use sqlite:////"),
    ("TOKEN", "curto", "use de 8 a 200"),
    ("TOKEN", "com espaços não", "use de 8 a 200"),
    ("PUBLIC_URL", "voz.exemplo.com", "use um endereço http:// ou https://"),
    ("PUBLIC_URL", "http://[", "use um endereço http:// ou https://"),
    ("RING_SECONDS", "0", "use 1 ou mais"),
    ("RING_SECONDS", "301", "use 300 ou menos"),
    ("MAX_CALL_SECONDS", "9", "use 10 ou mais"),
    ("MAX_CALL_SECONDS", "86401", "use 86400 ou menos"),
    ("TEST_NETWORK", "talvez", "use on ou off (veio 'talvez')"),
    ("MASK_NUMBERS", "2", "use on ou off"),
    ("TEST_CREDIT", "mil", "use um valor em reais"),
    ("TEST_CREDIT", "NaN", "use um valor em reais"),
    ("TEST_CREDIT", "-1", "use 0 ou mais"),
    ("TEST_CREDIT", "1e30", "use 1000000000 ou menos"),
    ("TRUNK_WAIT_SECONDS", "61", "use 60 ou menos"),
    ("DRAIN_SECONDS", "-1", "use 0 ou mais"),
    ("LOG_FORMAT", "xml", "use text ou json (veio 'xml')"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_is_refused_by_name(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TELEFONISTA_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load()
    text = str(refused.value)
    assert text.startswith(f"TELEFONISTA_{name}: ") and message in text and "\n" not in text


@pytest.mark.parametrize("name", ["TOKEN", "DATABASE_URL"])
def test_secrets_are_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TELEFONISTA_{name}", "se gredo")
    with pytest.raises(SettingsError) as refused:
        load()
    assert "gredo" not in str(refused.value)


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEFONISTA_PORT", "x")
    monkeypatch.setenv("TELEFONISTA_SIP_HOST", "y")
    with pytest.raises(SettingsError) as refused:
        load()
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "TELEFONISTA_PORT",
        "TELEFONISTA_SIP_HOST",
    ]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SIP_PORT": "20500"}, "TELEFONISTA_SIP_PORT cai dentro de TELEFONISTA_RTP_PORTS"),
        ({"SIP_PORT": "9000", "PORT": "9000"}, "TELEFONISTA_SIP_PORT e TELEFONISTA_PORT são a mesma porta"),
    ],
)
def test_ports_do_not_clash(variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"TELEFONISTA_{name}", value)
    with pytest.raises(SettingsError, match=message):
        load()


@pytest.mark.parametrize("name", ["HOME", "CACHE"])
def test_a_file_is_no_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "arquivo").touch()
    monkeypatch.setenv(f"TELEFONISTA_{name}", str(tmp_path / "arquivo"))
    with pytest.raises(SettingsError, match=f"TELEFONISTA_{name}: use uma pasta"):
        load()


def test_defaults(tmp_path: Path) -> None:
    settings = load()
    assert settings.home == tmp_path / ".local/share/telefonista"
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert (settings.sip_host, settings.sip_port, settings.rtp_ports) == ("127.0.0.1", 5060, (20000, 20999))
    assert settings.database == f"sqlite:///{tmp_path}/.local/share/telefonista/telefonista.db"
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.test_network and settings.asterisk is None


def test_values_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "HOME": "~/a",
        "RTP_PORTS": " 30000 - 30003 ",
        "TEST_NETWORK": "off",
        "TEST_CREDIT": "12.50",
        "PUBLIC_URL": "https://voz.exemplo.com.br/",
        "DATABASE_URL": "postgresql+psycopg://u:p@host:5433/banco",
        "HOST": "0.0.0.0",
        "TOKEN": "abcdefgh",
        "EXTERNAL_IP": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"TELEFONISTA_{name}", value)
    settings = load()
    assert settings.home == tmp_path / "a"
    assert settings.rtp_ports == (30000, 30003)
    assert settings.test_network is False
    assert settings.test_credit == Decimal("12.50")
    assert settings.base_url == "https://voz.exemplo.com.br"
    assert settings.database == given["DATABASE_URL"]
    assert settings.external_ip == ""


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TELEFONISTA_HOME", "dados")
    assert load().home == tmp_path / "dados"


def test_dotenv_is_read_here_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TELEFONISTA_PORT=9001\nTELEFONISTA_SIP_PORT=9002\n")
    monkeypatch.setenv("TELEFONISTA_PORT", "9003")
    settings = load()
    assert (settings.port, settings.sip_port) == (9003, 9002)


def test_a_bad_dotenv_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TELEFONISTA_PORT=porta\n")
    with pytest.raises(SettingsError, match="TELEFONISTA_PORT: use um número inteiro"):
        load()


def test_the_example_names_every_variable_with_values_that_work(tmp_path: Path) -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line.startswith("#TELEFONISTA_")]
    names = {re.split("[#=]", line)[1] for line in lines}
    assert names == {f"TELEFONISTA_{field.upper()}" for field in Settings.model_fields}
    (tmp_path / ".env").write_text("\n".join(line[1:] for line in lines))
    assert load().port == 8080
