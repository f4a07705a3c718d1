"""Every number of the test network through the whole product: as destino by API, as origem, and dialled on a ramal."""

import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from telefonista.engine.rede import NUMEROS, movel
from tests.e2e.conftest import Api
from tests.e2e.ramais import RamalDeTeste, ramal
from tests.phone import Incoming, Phone
from tests.phone.audio import loudness

TONE = "1030000021"
EVA = 1900

ENDINGS = {
    "1030000001": ("atendida", "16. normal"),
    "1030000002": ("atendida", "16. normal"),
    "1030000003": ("ocupado", "17. ocupado"),
    "1030000004": ("sem resposta", "19. sem resposta - mas chamou"),
    "1030000005": ("não existe", "1. telefone não existe"),
    "1030000006": ("congestionado", "34. sem canal disponível"),
    "1030000007": ("sem resposta", "19. sem resposta - mas chamou"),
    "1030000008": ("atendida", "16. normal"),
    "1030000009": ("atendida", "16. normal"),
    "1030000010": ("falha", "21. chamada rejeitada"),
    "1030000011": ("atendida", "16. normal"),
    "1030000021": ("atendida", "16. normal"),
    "1030000022": ("atendida", "16. normal"),
}


@pytest.fixture
async def eva(api: Api) -> AsyncIterator[tuple[RamalDeTeste, Phone]]:
    """A ramal whose telephone says 1900 Hz."""
    async with ramal(api) as r, r.registered("127.0.0.66", tone=EVA) as phone:
        await r.registrado()
        yield r, phone


async def called_from(api: Api, eva: tuple[RamalDeTeste, Phone], numero: str) -> tuple[int, Incoming]:
    """A chamada with Eva as origem, who has answered."""
    r, phone = eva
    id = await api.call(r.numero, numero)
    call = await phone.incoming()
    await call.answer()
    return id, call


def seconds_of_sound(call: Incoming) -> float:
    """How long something louder than silence was heard."""
    pcm = call.heard()
    return sum(loudness(pcm[at : at + 800]) > 100 for at in range(0, len(pcm), 800)) / 10


def test_every_number_has_its_expected_ending() -> None:
    assert set(ENDINGS) == set(NUMEROS)


async def test_all_numbers_as_destino_in_both_forms(api: Api) -> None:
    """All at once; those that would talk for long are ended by API after their answer."""
    ids = {form: await api.call(TONE, form) for numero in NUMEROS for form in (numero, movel(numero))}
    for numero in ("1030000002", "1030000008", "1030000009", "1030000021", "1030000022"):
        for form in (numero, movel(numero)):
            await api.talking(ids[form])
            await api.ask("DELETE", f"/chamada/{ids[form]}")
    for numero, expected in ENDINGS.items():
        for form, tipo, preco in ((numero, "fixo", 0.12), (movel(numero), "movel", 0.35)):
            dados = await api.ended(ids[form], within=20)
            destino = dados["destino"]
            assert (destino["status"], destino["motivo_desconexao"]) == expected, form
            assert destino["tipo"] == tipo
            assert dados["origem"]["status"] == "atendida"
            assert destino["preco"] == (preco if expected[0] == "atendida" else 0), form
            if numero == "1030000011":
                assert destino["duracao_falada_segundos"] == 3
            if numero == "1030000004":
                assert destino["duracao_segundos"] in (5, 6)  # TELEFONISTA_RING_SECONDS here


@pytest.mark.parametrize("numero", ["1030000003", "1030000005", "1030000006", "1030000010", movel("1030000003")])
async def test_numbers_as_origem_that_do_not_answer(api: Api, numero: str) -> None:
    id = await api.call(numero, "1030000022")
    dados = await api.ended(id, within=12)
    expected = ENDINGS["10" + numero.removeprefix("109").removeprefix("10")]
    assert (dados["origem"]["status"], dados["origem"]["motivo_desconexao"]) == expected
    assert dados["destino"]["status"] == "cancelada"
    assert dados["destino"]["data_inicio"] is None
    assert dados["origem"]["preco"] == dados["destino"]["preco"] == 0


@pytest.mark.parametrize(("origem", "hz"), [(TONE, 440), ("10930000022", 880)])
async def test_numbers_as_origem_that_answer(api: Api, eva: tuple[RamalDeTeste, Phone], origem: str, hz: int) -> None:
    r, phone = eva
    id = await api.call(origem, r.numero)
    call = await phone.incoming()
    await call.answer()
    await call.hears(hz)
    await call.hangup()
    assert (await api.ended(id))["origem"]["status"] == "atendida"


async def test_echo_as_origem_hears_destino(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = eva
    id = await api.call("1030000002", r.numero)
    call = await phone.incoming()
    await call.answer()
    await call.hears(EVA)
    await call.hangup()
    await api.ended(id)


async def test_01_speaks(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    id, call = await called_from(api, eva, "1030000001")

    async def sound() -> float:
        return seconds_of_sound(call)

    await api.until(sound, lambda seconds: seconds > 3, 8)
    pcm = call.heard()
    spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64)))
    assert spectrum.max() < 0.2 * spectrum.sum(), "speech, not a tone"
    await call.hangup()
    await api.ended(id)


async def test_02_returns_what_it_hears(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    id, call = await called_from(api, eva, "1030000002")
    await call.hears(EVA)
    call.stop_sending()
    await call.hears_not(EVA, within=2)
    await call.hangup()
    await api.ended(id)


async def test_07_speaks_before_any_answer(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    id, call = await called_from(api, eva, "1030000007")
    began = time.monotonic()
    await call.ended(within=12)
    assert time.monotonic() - began > 2
    assert seconds_of_sound(call) > 2
    dados = await api.ended(id)
    assert dados["destino"]["status"] == "sem resposta"
    assert dados["destino"]["duracao_falada_segundos"] == 0


async def test_08_speaks_and_beeps(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    id, call = await called_from(api, eva, "1030000008")
    await api.talking(id)
    await call.hears(1000, within=12)
    await call.silent(within=2)
    assert seconds_of_sound(call) > 2
    await call.hangup()
    await api.ended(id)


async def test_09_presses_1(api: Api, eva: tuple[RamalDeTeste, Phone]) -> None:
    id, call = await called_from(api, eva, "1030000009")
    assert await call.dtmf(within=5) == "1"
    await call.hangup()
    await api.ended(id)


@pytest.mark.parametrize(("numero", "hz", "other"), [("1030000021", 440, 880), ("1030000022", 880, 440)])
async def test_21_and_22_are_tones(api: Api, eva: tuple[RamalDeTeste, Phone], numero: str, hz: int, other: int) -> None:
    id, call = await called_from(api, eva, numero)
    await call.hears(hz)
    await call.hears_not(other, EVA)
    await call.hangup()
    await api.ended(id)


@pytest.mark.parametrize("numero", ["1030000012", "1030000000", "10930000099"])
async def test_the_rest_of_ddd_10_belongs_to_nobody(api: Api, numero: str) -> None:
    answer = await api.http.post("/chamada", json={"numero_origem": TONE, "numero_destino": numero})
    if answer.status_code == 200:  # a trunk of another test serves its class: nobody answers there
        await api.ask("DELETE", f"/chamada/{answer.json()['dados']['id']}")
        await api.ended(answer.json()["dados"]["id"])
    else:
        assert (answer.status_code, answer.json()["motivo"]) == (405, 11)
        assert "numero_destino" in answer.json()["mensagem"]
