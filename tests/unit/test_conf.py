"""The engine's configuration as text: what changes with the instance, and what must never be written wrongly."""

import configparser
from dataclasses import replace
from pathlib import Path

import pytest

from telefonista.engine.asterisk.conf import RAMAIS, bloqueios, render
from telefonista.engine.asterisk.conf.escape import value
from telefonista.engine.asterisk.conf.modules import GROUPS, NEWER, TEST_NETWORK
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.tree import EngineTree, InstallError

REDE = "[rede-de-teste]\nexten => 1,1,Answer()\n"


@pytest.fixture
def tree(tmp_path: Path) -> EngineTree:
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in (*" ".join(GROUPS.values()).split(), *TEST_NETWORK):
        (modules / f"{name}.so").touch()
    return EngineTree(("/x/asterisk",), "22.10.1", modules, tmp_path / "data", tmp_path / "varlib")


@pytest.fixture
def inst(tmp_path: Path) -> Instance:
    return Instance(tmp_path / "motor", "127.0.0.1", 5060, (20_000, 20_999), None, 18_188, "segredo")


def section(text: str, name: str) -> list[str]:
    """The lines of every section called `name`."""
    found, here = [], False
    for line in text.splitlines():
        if line.startswith("["):
            here = line == f"[{name}]"
        elif here and line:
            found.append(line)
    return found


def test_every_file_parses_and_holds_no_placeholder(inst: Instance, tree: EngineTree) -> None:
    files = render(inst, tree, REDE)
    assert {"asterisk.conf", "modules.conf", "pjsip.conf", "sorcery.conf", "logger.conf", "cel_custom.conf"} <= set(
        files
    )
    for name, text in files.items():
        parser = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None, allow_no_value=True)
        parser.read_string(text.replace("=>", "="), name)
        assert parser.sections() or name == RAMAIS, name  # accounts come while it runs
        assert "None" not in text, name


def test_paths_ports_and_password(inst: Instance, tree: EngineTree) -> None:
    files = render(inst, tree, REDE)
    assert f"astrundir => {inst.run}" in files["asterisk.conf"]
    assert f"astmoddir => {tree.modules}" in files["asterisk.conf"]
    assert f"entityid = {inst.entity_id}" in files["asterisk.conf"]
    assert section(files["http.conf"], "general")[2:4] == ["bindaddr=127.0.0.1", "bindport=18188"]
    assert "password=segredo" in section(files["ari.conf"], "tel")
    assert section(files["rtp.conf"], "general") == [
        "rtpstart=20000",
        "rtpend=20999",
        "strictrtp=yes",
        "rtcpinterval=2000",
    ]
    assert [name for name, text in files.items() if "segredo" in text] == ["ari.conf"]


def test_test_network_is_all_or_nothing(inst: Instance, tree: EngineTree) -> None:
    on, off = render(inst, tree, REDE), render(replace(inst, test_network=False), tree)
    pjsip = on["pjsip.conf"]
    assert "bind=127.0.10.30:5060" in section(pjsip, "rede-saida")
    assert "bind=127.0.10.31:5060" in section(pjsip, "rede")
    assert "contact=sip:127.0.10.31:5060" in section(pjsip, "rede")
    assert "match=127.0.10.30" in section(pjsip, "rede-entrada")
    assert REDE in on["extensions.conf"]
    assert "load=app_echo.so" in on["modules.conf"]
    assert "rede" not in off["pjsip.conf"] + off["extensions.conf"]
    assert "app_echo" not in off["modules.conf"]


@pytest.mark.parametrize(("host", "port", "rede"), [("0.0.0.0", 5060, 15_060), ("::", 60_000, 50_000)])
def test_a_wildcard_leaves_another_port_to_the_test_network(
    inst: Instance, tree: EngineTree, host: str, port: int, rede: int
) -> None:
    pjsip = render(replace(inst, sip_host=host, sip_port=port), tree, REDE)["pjsip.conf"]
    assert f"bind=127.0.10.31:{rede}" in section(pjsip, "rede")
    assert f"bind={host if host != '::' else '[::]'}:{port}" in section(pjsip, "udp")


def test_external_ip_is_announced_only_behind_nat(inst: Instance, tree: EngineTree) -> None:
    inside = render(inst, tree, REDE)["pjsip.conf"]
    assert "external_" not in section(inside, "udp") + section(inside, "tcp")
    pjsip = render(replace(inst, external_ip="203.0.113.9"), tree, REDE)["pjsip.conf"]
    for transport in ("udp", "tcp"):
        assert "external_media_address=203.0.113.9" in section(pjsip, transport)
        assert "external_signaling_address=203.0.113.9" in section(pjsip, transport)
        assert "local_net=127.0.0.0/8" in section(pjsip, transport)


def test_bloqueios_permits_first_because_the_last_match_decides() -> None:
    assert bloqueios([]) == "[bloqueados]\npermit=0.0.0.0/0\npermit=::/0\n"
    lines = bloqueios(["198.51.100.7", "2001:db8::5"]).splitlines()
    assert lines[1:] == ["permit=0.0.0.0/0", "permit=::/0", "deny=198.51.100.7/32", "deny=2001:db8::5/128"]
    with pytest.raises(ValueError, match="does not appear"):
        bloqueios(["198.51.100.7\npermit=0.0.0.0/0"])


def test_foreign_text_cannot_leave_its_line(tree: EngineTree, inst: Instance) -> None:
    assert value("a;b") == "a\\;b"
    with pytest.raises(ValueError, match="control"):
        value("a\nb")
    odd = replace(inst, directory=Path("/tmp/a;b c"))
    assert "astrundir => /tmp/a\\;b c/run" in render(odd, tree, REDE)["asterisk.conf"]


def test_missing_modules(tree: EngineTree, inst: Instance) -> None:
    for name in NEWER:
        (tree.modules / f"{name}.so").unlink()
    loads = render(inst, tree, REDE)["modules.conf"]
    assert not [name for name in NEWER if name in loads]
    (tree.modules / "chan_pjsip.so").unlink()
    with pytest.raises(InstallError, match="chan_pjsip"):
        render(inst, tree, REDE)


def test_newer_options_only_for_versions_that_know_them(inst: Instance, tree: EngineTree) -> None:
    assert "taskpool" in render(inst, tree, REDE)["pjsip.conf"]
    assert "taskpool" not in render(inst, replace(tree, version="20.6.0"), REDE)["pjsip.conf"]


def test_two_instances_have_two_names(tmp_path: Path, inst: Instance) -> None:
    other = replace(inst, directory=tmp_path / "outro")
    assert inst.entity_id != other.entity_id
    assert inst.entity_id == replace(inst, sip_port=7000).entity_id
    assert len(inst.entity_id.split(":")) == 6


def test_instance_refuses_what_the_engine_would_misread(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absolute"):
        Instance(Path("motor"), "127.0.0.1", 5060, (20_000, 20_999))
    with pytest.raises(ValueError, match="localhost"):
        Instance(tmp_path, "localhost", 5060, (20_000, 20_999))
    with pytest.raises(ValueError, match="longo demais"):
        Instance(tmp_path / ("x" * 100), "127.0.0.1", 5060, (20_000, 20_999)).prepare()
