"""install: reading the machine's apt sources, real apt-get against small local mirrors, every refusal's sentence."""

import asyncio
import json
import os
import platform
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from telefonista.engine.asterisk import install, tree
from telefonista.engine.asterisk.install import EngineTree, InstallError, ensure_engine, explain
from telefonista.engine.asterisk.mirror import debian_keyring, debian_mirrors
from telefonista.engine.asterisk.tree import machine_tree


def silent(text: str, done: float | None) -> None:
    """A progress nobody looks at."""


def sources(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        stem, _, kind = name.rpartition("_")
        place = tmp_path / "sources.list" if stem == "main" else tmp_path / "sources.list.d" / f"{stem}.{kind}"
        place.write_text(text)
    return tmp_path


def test_one_line_sources(tmp_path: Path) -> None:
    apt = sources(
        tmp_path,
        main_list="# deb http://comentado/debian bookworm main\n"
        "deb-src http://fontes/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://espelho/debian/ bookworm main contrib # nota\n"
        "deb http://seguranca/debian-security bookworm-security main\n",
        outros_list="deb cdrom:[Debian]/ bookworm main\ndeb\thttps://segundo/debian\ttrixie-updates\tmain\n",
        nuvem_list="deb https://pacotes.nuvem/apt cloud-sdk main\n",
    )
    assert debian_mirrors(apt) == ["http://espelho/debian", "https://segundo/debian"]


def test_deb822_sources(tmp_path: Path) -> None:
    apt = sources(
        tmp_path,
        debian_sources="Types: deb\n# comentario\nURIs: http://espelho/debian\n  http://outro/debian/\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n"
        "\nTypes: deb\nURIs: http://seguranca/debian-security\nSuites: bookworm-security\nComponents: main\n"
        "\nEnabled: no\nTypes: deb\nURIs: http://desligado/debian\nSuites: trixie\nComponents: main\n"
        "\nTypes: deb-src\nURIs: http://fontes/debian\nSuites: trixie\nComponents: main\n",
        node_sources="Types: deb\nURIs: https://node/x\nSuites: nodistro\nComponents: main\n",
        ignorado_bak="Types: deb\nURIs: http://velho/debian\nSuites: sid\nComponents: main\n",
    )
    assert debian_mirrors(apt) == ["http://espelho/debian", "http://outro/debian"]


def test_a_machine_without_debian_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="TELEFONISTA_ASTERISK"):
        debian_mirrors(sources(tmp_path, main_list="deb http://br.archive/ubuntu noble main universe\n"))
    with pytest.raises(InstallError, match="debian-archive-keyring"):
        debian_keyring(tmp_path)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("E: Release file for http://e/InRelease is expired (invalid since 9d).", "parado no tempo"),
        ("E: Failed to fetch http://e/InRelease  Temporary failure resolving 'e'", "internet"),
        (
            "E: Failed to fetch http://e/InRelease  Could not connect to e:80. - connect (111: Connection refused)",
            "inter",
        ),
        ("E: The repository 'http://e forky Release' does not have a Release file.", "não tem o forky"),
        ("E: Unable to locate package asterisk", "não tem o forky"),
        ("W: GPG error: http://e forky InRelease: NO_PUBKEY 6ED0\nE: The repository is not signed.", "assinatura"),
        ("E: You don't have enough free space in /c/archives/.", "espaço"),
        ("dpkg-deb: error: failed to write: No space left on device", "espaço"),
        ("E: Release file for http://e/InRelease is not valid yet (invalid for another 3h)", "relógio"),
        ("E: Algo novo", "Algo novo"),
        ("", "sem explicação"),
    ],
)
def test_what_apt_says_becomes_advice(output: str, sentence: str) -> None:
    assert sentence in str(explain(output))


def test_only_an_expired_release_is_worth_a_second_try() -> None:
    expired = "E: Release file for http://e/InRelease is expired (invalid since 9d)."
    assert isinstance(explain(expired), install._Expired)
    assert not isinstance(explain(f"{expired}\nE: The repository 'http://e' is not signed."), install._Expired)


async def test_wrong_machines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "riscv64")
        with pytest.raises(InstallError, match="amd64 ou arm64"):
            await ensure_engine(tmp_path, asterisk=None, progress=silent)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(InstallError, match="apt-get"):
            await ensure_engine(tmp_path, asterisk=None, progress=silent)

    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 500_000_000))
        with pytest.raises(InstallError, match="600 MB livres"):
            await ensure_engine(tmp_path, asterisk=None, progress=silent)


async def test_the_machines_own_program(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="não é um programa"):
        await ensure_engine(tmp_path, asterisk=tmp_path / "nada", progress=silent)
    for name, answer, sentence in (
        ("velho", "Asterisk 18.26.4", "é o 18.26.4"),
        ("certificado", "Asterisk certified-20.7-cert2", None),
        ("novo", "Asterisk 20.6.0~dfsg+~cs6.13.40431414-2build5", None),
        ("outro", "busybox", "versão"),
    ):
        program = tmp_path / name / "sbin/asterisk"
        (tmp_path / name / "lib/asterisk/modules").mkdir(parents=True)
        (tmp_path / name / "share/asterisk/documentation").mkdir(parents=True)
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        if sentence:
            with pytest.raises(InstallError, match=sentence):
                machine_tree(program)
        else:
            found = machine_tree(program)
            assert found.major == 20
            assert found.command == (str(program),)
            assert found.modules == tmp_path / name / "lib/asterisk/modules"


@asynccontextmanager
async def mirror(answer: bytes | None) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A web server giving every request this answer (None: never any); the event tells that somebody asked."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                asked.set()
                if answer is None:
                    await over.wait()
                    return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/debian", asked
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def use_mirror(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    monkeypatch.setattr(install, "debian_mirrors", lambda: list(addresses))


async def test_a_mirror_without_our_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with mirror(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as (address, asked):
        use_mirror(monkeypatch, address)
        with pytest.raises(InstallError, match="não tem o forky"):
            await ensure_engine(tmp_path, asterisk=None, progress=silent)
        assert asked.is_set()
    assert os.listdir(tmp_path) == [".motor.lock"]


async def test_an_unsigned_mirror_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = "Origin: Debian\nSuite: testing\nCodename: forky\nDate: Fri, 20 Nov 2026 00:00:00 UTC\n"
    folder = tmp_path / "espelho/dists/forky"
    folder.mkdir(parents=True)
    (folder / "Release").write_text(release + "Architectures: amd64 arm64\nComponents: main\nSHA256:\n")
    use_mirror(monkeypatch, f"copy:{tmp_path}/espelho")
    with pytest.raises(InstallError, match="assinatura"):
        await ensure_engine(tmp_path / "cache", asterisk=None, progress=silent)


async def test_a_cancelled_install_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".motor-morto/root").mkdir(parents=True)
    async with mirror(None) as (address, asked):
        use_mirror(monkeypatch, address)
        task = asyncio.create_task(ensure_engine(tmp_path, asterisk=None, progress=silent))
        async with asyncio.timeout(20):
            await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert os.listdir(tmp_path) == [".motor.lock"]


async def test_a_second_installer_waits_for_the_first(tmp_path: Path) -> None:
    told: list[str] = []
    waiting, order = asyncio.Event(), []

    def progress(text: str, done: float | None) -> None:
        told.append(text)
        waiting.set()

    async def second() -> None:
        async with install._locked(tmp_path / "lock", progress):
            order.append("second")

    async with install._locked(tmp_path / "lock", silent):
        task = asyncio.create_task(second())
        async with asyncio.timeout(5):
            await waiting.wait()
        order.append("first")
    async with asyncio.timeout(5):
        await task
    assert order == ["first", "second"]
    assert "Outro processo" in told[0]


async def test_the_installed_tree(engine_tree: EngineTree) -> None:
    assert engine_tree.major >= 22
    assert engine_tree.root is not None
    stamp = json.loads((engine_tree.root / install.STAMP).read_text())
    assert stamp["motor"] == engine_tree.version
    assert set(stamp["pacotes"]) == set(install.PACKAGES)
    assert not list(engine_tree.root.rglob("*.deb"))
    assert tree.private_tree(engine_tree.root) == engine_tree


async def test_espeak_speaks_portuguese(engine_tree: EngineTree, tmp_path: Path) -> None:
    spoken = tmp_path / "fala.wav"
    argv = engine_tree.espeak("-v", "pt-br", "-w", str(spoken), "Sua chamada está sendo encaminhada.")
    process = await asyncio.create_subprocess_exec(*argv)
    assert await process.wait() == 0
    assert spoken.stat().st_size > 20_000
