"""Retention: what is too old goes with its files, what nobody wants is swept, what may be wanted stays."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.engine.fake import FakeEngine
from telefonista.gravacao import purge
from telefonista.gravacao.purge import Purger
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Conta, Gravacao, GravacaoAcesso, GravacaoParte

pytest_plugins = ["tests.databases"]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def days(count: float) -> datetime:
    """So many days ago."""
    return NOW - timedelta(days=count)


class Shelf:
    """Rows and files of recordings in two contas: one keeps them 90 days, the other 7."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self.storage = storage
        self.recordings, self.spool = folder / "gravacoes", folder / "spool"
        self.spool.mkdir(parents=True)
        self.purger = Purger(storage, FakeEngine(folder=self.spool), self.recordings, self.spool)

    async def fill(self) -> None:
        def unit(session: Session) -> None:
            for id, dias in ((1, 90), (2, 7)):
                session.add(Conta(id=id, nome=f"c{id}", token_hash=f"{id}", retencao_dias=dias, criada_em=NOW))
            session.flush()
            for id in (1, 2):
                chamada = {"status_geral": "finalizada", "limite_segundos": 1, "toque_segundos": 1}
                session.add(Chamada(id=id, conta_id=id, data_criacao=NOW, **chamada))

        await self.storage.write(unit)

    async def add(self, id: int, conta: int, age: float, estado: str = "pronta") -> None:
        """A recording of that age in days, with MP3, sidecar and raw part."""

        def unit(session: Session) -> None:
            session.add(
                Gravacao(
                    id=id, chamada_id=conta, conta_id=conta, estado=estado, arquivo=f"{conta}-{id}", segredo="s",
                    iniciada_em=days(age),
                )
            )  # fmt: skip
            session.flush()
            nome = f"{conta}-g{id}.1"
            session.add(GravacaoParte(gravacao_id=id, ordem=1, nome=nome, lado="destino", iniciada_em=days(age)))
            session.add(GravacaoAcesso(gravacao_id=id, momento=NOW, por="link", endereco="::1"))

        await self.storage.write(unit)
        self.file(self.recordings / str(conta) / f"{conta}-{id}.mp3", age)
        self.file(self.recordings / str(conta) / f"{conta}-{id}.json", age)
        self.file(self.spool / f"{conta}-g{id}.1-heard.wav", age)

    def file(self, path: Path, age: float) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (days(age).timestamp(),) * 2)
        return path

    async def estados(self) -> dict[int, str]:
        def query(session: Session) -> dict[int, str]:
            return {row.id: row.estado for row in session.scalars(select(Gravacao))}

        return await self.storage.read(query)

    def files(self) -> set[str]:
        return {path.name for folder in (self.recordings, self.spool) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
async def shelf(storage: Storage, tmp_path: Path) -> Shelf:
    shelf = Shelf(storage, tmp_path / "shelf")
    await shelf.fill()
    return shelf


async def test_what_is_too_old_goes_with_its_files(shelf: Shelf) -> None:
    for id, conta, age in ((1, 1, 91), (2, 1, 89), (3, 2, 8), (4, 2, 6.9)):
        await shelf.add(id, conta, age)
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: "removida", 2: "pronta", 3: "removida", 4: "pronta"}
    assert shelf.files() == {"1-2.mp3", "1-2.json", "2-4.mp3", "2-4.json"}
    log = await shelf.storage.read(lambda session: len(session.scalars(select(GravacaoAcesso)).all()))
    assert log == 4, "who heard it is still known"


async def test_many_go_in_batches(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
    for id in range(1, 8):
        await shelf.add(id, 1 + id % 2, 100)
    await shelf.purger.purge(NOW)
    assert set((await shelf.estados()).values()) == {"removida"}
    assert shelf.files() == set()


async def test_a_file_that_cannot_be_removed_keeps_its_row(shelf: Shelf) -> None:
    for id in (1, 2):
        await shelf.add(id, 1, 100)
    stuck = shelf.recordings / "1" / "1-1.mp3"
    stuck.unlink()
    stuck.mkdir()  # even root cannot unlink a folder
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: "pronta", 2: "removida"}
    stuck.rmdir()
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: "removida", 2: "removida"}


async def test_a_crash_between_files_and_row_is_made_good(shelf: Shelf) -> None:
    await shelf.add(1, 1, 100)
    (shelf.recordings / "1" / "1-1.mp3").unlink()
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: "removida"}


@pytest.mark.parametrize("estado", ["gravando", "pausada", "convertendo"])
async def test_what_is_at_work_stays_however_old(shelf: Shelf, estado: str) -> None:
    await shelf.add(1, 1, 200, estado)
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: estado}
    assert "1-g1.1-heard.wav" in shelf.files()


async def test_the_raw_sound_of_a_failed_one_is_kept_as_long_as_a_recording(shelf: Shelf) -> None:
    await shelf.add(1, 1, 80, "falhou")
    await shelf.add(2, 1, 91, "falhou")
    await shelf.purger.purge(NOW)
    assert await shelf.estados() == {1: "falhou", 2: "removida"}
    assert shelf.files() == {"1-g1.1-heard.wav"}


async def test_strays_are_swept_after_a_day(shelf: Shelf) -> None:
    await shelf.add(1, 1, 2)
    folder = shelf.recordings / "1"
    strays = [
        *(folder / name for name in ("1-9.mp3", "1-9.json", ".1-9-esquerda.wav", ".1-9.mp3.77.parcial")),
        *(shelf.spool / name for name in ("1-g9.1-said.wav", "2-g.1-heard.wav")),
    ]
    kept = [
        folder / "1-1.mp3",
        folder / "leia-me.txt",
        folder / "77.mp3",  # of a chamada that this database does not know: the database may be the wrong one
        shelf.spool / "77-g.1-said.wav",
    ]
    for path in (*strays, *kept[1:]):
        shelf.file(path, 1.1)
    fresh = shelf.file(shelf.spool / "1-g9.2-said.wav", 0.9)
    await shelf.purger.purge(NOW)
    assert not any(path.exists() for path in strays)
    assert all(path.exists() for path in (*kept, fresh))
    assert "1-g1.1-heard.wav" not in shelf.files(), "the raw sound of what is converted is a stray too"


async def test_nothing_at_all(shelf: Shelf) -> None:
    await shelf.purger.purge(NOW)  # not even the folder of the recordings is there
