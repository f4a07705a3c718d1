"""Calls dialled on a registered telephone: whom it may call, what it hears, and the chamada that each of them is."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.ramais import RamalDeTeste, ramal
from tests.e2e.server import Server
from tests.e2e.test_limits import new_conta
from tests.phone import Outgoing, Phone, Refused, Tone
from tests.phone.audio import loudness

TONE, TONE_MOVEL = "1030000021", "10930000021"
CARLA, DORA = 1700, 1900


@pytest.fixture
async def carla(api: Api) -> AsyncIterator[tuple[RamalDeTeste, Phone]]:
    """A ramal with every right, and its telephone that says 1700 Hz."""
    async with (
        ramal(api, nome="Carla", ligacao_externa=True, ligacao_celular=True) as r,
        r.registered("127.0.0.61", tone=CARLA) as phone,
    ):
        yield r, phone


@pytest.fixture
async def dora(api: Api) -> AsyncIterator[tuple[RamalDeTeste, Phone]]:
    """Another, without any right; it says 1900 Hz."""
    async with ramal(api) as r, r.registered("127.0.0.62", tone=DORA) as phone:
        yield r, phone


async def refused(call: Outgoing, within: float = 12) -> int:
    """The final status of a call that must not be answered."""
    with pytest.raises(Refused) as end:
        await call.answered(within)
    return end.value.status


def heard_speech(call: Outgoing, seconds: float = 1.0) -> None:
    """It heard at least so many seconds of something that is not silence."""
    pcm = call.heard()
    loud = sum(loudness(pcm[at : at + 800]) > 200 for at in range(0, len(pcm), 800)) / 10
    assert loud >= seconds, f"{loud} s of sound in {len(pcm) / 8000} s"


async def test_a_ramal_calls_another(
    api: Api, carla: tuple[RamalDeTeste, Phone], dora: tuple[RamalDeTeste, Phone]
) -> None:
    r, phone = carla
    other, telephone = dora
    call = await phone.dial(other.numero)
    line = await telephone.incoming()
    assert line.from_number == r.numero
    dados = await r.dialled()
    assert (dados["status_geral"], dados["ativa"]) == ("curso", True)
    await line.ringing()
    await call.rang()
    assert not call.up
    await line.answer()
    await call.answered()
    await call.hears(DORA)
    await line.hears(CARLA)
    await call.hears_not(CARLA)
    await line.hangup()
    await call.ended(within=2)
    assert call.ended_by == "them"
    dados = await r.ended()
    assert dados["ramal_id_origem"] == r.id
    for perna, numero in (("origem", r.numero), ("destino", other.numero)):
        assert (dados[perna]["numero"], dados[perna]["tipo"]) == (numero, "ramal")
        assert (dados[perna]["status"], dados[perna]["preco"]) == ("atendida", 0)
        assert dados[perna]["motivo_desconexao"] == "16. normal"
    assert await other.chamadas() == []


@pytest.mark.parametrize(
    ("dialled", "tipo", "preco"),
    [
        (TONE, "fixo", 0.12),
        (TONE_MOVEL, "movel", 0.35),
        ("0" + TONE, "fixo", 0.12),
        ("015" + TONE, "fixo", 0.12),
        ("55" + TONE, "fixo", 0.12),
        ("+55" + TONE_MOVEL, "movel", 0.35),
    ],
)
async def test_every_ramal_may_call_the_test_network(
    api: Api, dora: tuple[RamalDeTeste, Phone], dialled: str, tipo: str, preco: float
) -> None:
    r, phone = dora
    call = await phone.call(dialled)
    await call.hears(440)
    await call.hangup()
    dados = await r.ended()
    assert (dados["destino"]["tipo"], dados["destino"]["status"]) == (tipo, "atendida")
    assert dados["destino"]["preco"] == preco
    assert (dados["origem"]["tipo"], dados["origem"]["preco"]) == ("ramal", 0)


async def test_what_is_said_is_heard(api: Api, dora: tuple[RamalDeTeste, Phone]) -> None:
    _, phone = dora
    call = await phone.call("1030000002")  # echo
    await call.hears(DORA)
    await call.hangup()


@pytest.mark.parametrize(
    ("numero", "sip", "status", "motivo"),
    [
        ("1030000003", 486, "ocupado", "17. ocupado"),
        ("1030000005", 404, "não existe", "1. telefone não existe"),
        ("1030000006", 503, "congestionado", "34. sem canal disponível"),
        ("1030000010", 403, "falha", "21. chamada rejeitada"),
    ],
)
async def test_the_caller_is_told_why_it_failed(
    api: Api, dora: tuple[RamalDeTeste, Phone], numero: str, sip: int, status: str, motivo: str
) -> None:
    r, phone = dora
    assert await refused(await phone.dial(numero)) == sip
    dados = await r.ended()
    assert (dados["destino"]["status"], dados["destino"]["motivo_desconexao"]) == (status, motivo)
    assert dados["destino"]["preco"] == 0
    assert dados["origem"]["duracao_cobrada_segundos"] == 0


async def test_nobody_answers(api: Api, dora: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = dora
    call = await phone.dial("1030000004")
    await call.rang()
    assert await refused(call) == 480
    assert (await r.ended())["destino"]["status"] == "sem resposta"


async def test_a_ramal_without_a_telephone(api: Api, dora: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = dora
    async with ramal(api) as nobody:
        assert await refused(await phone.dial(nobody.numero)) == 480
        destino = (await r.ended())["destino"]
        assert (destino["status"], destino["motivo_desconexao"]) == ("sem resposta", "20. assinante ausente")


async def test_an_outside_number_is_called_by_the_trunk(
    api: Api, ana: Phone, carla: tuple[RamalDeTeste, Phone]
) -> None:
    r, phone = carla
    call = await phone.dial(FIXO)
    line = await ana.incoming()
    assert line.to_number == FIXO
    await line.early_media(Tone(1500))
    await call.hears(1500)
    assert not call.up
    await line.answer(Tone(700))
    await call.answered()
    await call.hears(700)
    await line.hears(CARLA)
    await call.hangup()
    await line.ended(within=2)
    dados = await r.ended()
    assert (dados["destino"]["tipo"], dados["destino"]["preco"]) == ("fixo", 0.12)


async def test_a_mobile_number_is_called_by_the_trunk(api: Api, bia: Phone, carla: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = carla
    call = await phone.dial(MOVEL)
    line = await bia.incoming()
    await line.answer()
    await call.answered()
    await call.hears(1300)
    await line.hangup()
    await call.ended(within=2)
    dados = await r.ended()
    assert (dados["destino"]["tipo"], dados["destino"]["preco"]) == ("movel", 0.35)


@pytest.mark.parametrize(
    ("rights", "numero"),
    [({"ligacao_externa": True}, FIXO), ({"ligacao_externa": True, "ligacao_celular": True}, MOVEL)],
)
async def test_a_right_that_a_ramal_has(
    api: Api, ana: Phone, bia: Phone, dora: tuple[RamalDeTeste, Phone], rights: dict[str, bool], numero: str
) -> None:
    r, phone = dora
    await r.edit(**rights)
    call = await phone.dial(numero)
    await (await (ana if numero == FIXO else bia).incoming()).reject(486)
    assert await refused(call) == 486
    await r.ended()


async def test_a_right_that_a_ramal_lacks(api: Api, ana: Phone, bia: Phone, dora: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = dora
    calls = []
    for externa, celular, numero in (
        (False, False, FIXO),
        (False, False, MOVEL),
        (False, True, MOVEL),
        (True, False, MOVEL),
    ):
        await r.edit(ligacao_externa=externa, ligacao_celular=celular)
        calls.append(await phone.dial(numero))
        await calls[-1].progress()  # decided, and the words begin
    for call in calls:
        assert await refused(call) == 403
        heard_speech(call)
        assert not call.up
    assert ana.total == bia.total == 0
    await r.ended()
    found = await r.chamadas()
    assert [dados["destino"]["numero"] for dados in found] == [FIXO, MOVEL, MOVEL, MOVEL]
    for dados in found:
        assert (dados["destino"]["status"], dados["destino"]["motivo_desconexao"]) == ("falha", "21. chamada rejeitada")
        assert (dados["destino"]["preco"], dados["origem"]["preco"]) == (0, 0)


async def test_emergency_numbers_are_refused_with_words(api: Api, carla: tuple[RamalDeTeste, Phone]) -> None:
    r, phone = carla
    for call in [await phone.dial(numero) for numero in ("190", "0190", "112", "911", "192")]:
        assert await refused(call) == 403
        heard_speech(call)
    assert await r.chamadas() == []


@pytest.mark.parametrize("numero", ["99", "123456", "48", "abc", "4000000000000000000000", "*99", "#"])
async def test_what_is_no_number_is_not_found(api: Api, carla: tuple[RamalDeTeste, Phone], numero: str) -> None:
    r, phone = carla
    assert await refused(await phone.dial(numero.replace("#", "%23"))) == 404
    assert await r.chamadas() == []


async def test_the_caller_gives_up_while_it_rings(
    api: Api, carla: tuple[RamalDeTeste, Phone], dora: tuple[RamalDeTeste, Phone]
) -> None:
    (r, phone), (other, telephone) = carla, dora
    call = await phone.dial(other.numero)
    line = await telephone.incoming()
    await line.ringing()
    await call.rang()
    await call.cancel()
    await line.cancelled(within=2)
    dados = await r.ended()
    assert dados["destino"]["status"] == "cancelada"
    assert dados["origem"]["status"] == "cancelada"
    assert dados["origem"]["preco"] == dados["destino"]["preco"] == 0


async def test_the_caller_hangs_up(
    api: Api, carla: tuple[RamalDeTeste, Phone], dora: tuple[RamalDeTeste, Phone]
) -> None:
    (r, phone), (other, telephone) = carla, dora
    call = await phone.dial(other.numero)
    line = await telephone.incoming()
    await line.answer()
    await call.hears(DORA)
    await call.hangup()
    await line.ended(within=2)
    assert (await r.ended())["destino"]["motivo_desconexao"] == "16. normal"


@pytest.mark.parametrize("talking", [False, True])
async def test_it_is_ended_by_api(
    api: Api, carla: tuple[RamalDeTeste, Phone], dora: tuple[RamalDeTeste, Phone], talking: bool
) -> None:
    (r, phone), (other, telephone) = carla, dora
    call = await phone.dial(other.numero)
    line = await telephone.incoming()
    await line.ringing()
    if talking:
        await line.answer()
        await call.hears(DORA)
    dados = await r.dialled()
    await api.ask("DELETE", f"/chamada/{dados['id']}")
    await (line.ended(within=2) if talking else line.cancelled(within=2))
    await call.ended(within=2)
    dados = await r.ended()
    assert dados["destino"]["status"] == ("atendida" if talking else "cancelada")


async def test_both_sides_are_recorded(api: Api, carla: tuple[RamalDeTeste, Phone], bia: Phone) -> None:
    r, phone = carla
    await r.edit(gravar_audio=True)
    call = await phone.dial(MOVEL)
    line = await bia.incoming()
    await line.answer()
    await call.answered()
    for _ in range(3):
        await call.hears(1300)
        await line.hears(CARLA)
    await call.hangup()
    dados = await api.recorded((await r.ended())["id"])
    sidecar = api.server.recording(dados["id"])
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300
    left, right, rate = sides((await api.http.get(f"/chamada/{dados['id']}/gravacao")).content)
    hears(left, rate, CARLA, absent=(1300,))
    hears(right, rate, 1300, absent=(CARLA,))


async def test_a_short_saldo_is_said(api: Api) -> None:
    token = new_conta(api.server, "0,05")
    async with ramal(api, token) as r, r.registered("127.0.0.63", tone=CARLA) as phone:
        call = await phone.dial(TONE)
        assert await refused(call) == 403
        heard_speech(call)
        dados = await r.ended()
        assert (dados["destino"]["status"], dados["destino"]["motivo_desconexao"]) == ("falha", "21. chamada rejeitada")
        assert dados["destino"]["preco"] == 0


async def test_a_conversation_goes_on_when_the_server_is_killed(own_server: Server, own_api: Api) -> None:
    own_server.start()
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(ramal(own_api, nome="Carla"))
        other = await stack.enter_async_context(ramal(own_api))
        phone = await stack.enter_async_context(r.registered("127.0.0.64", tone=CARLA))
        telephone = await stack.enter_async_context(other.registered("127.0.0.65", tone=DORA))
        await other.registrado()
        call = await phone.dial(other.numero)
        line = await telephone.incoming()
        await line.answer()
        await call.hears(DORA)
        ringing = await telephone.dial("1030000004")
        await ringing.rang()
        await own_api.until(other.chamadas, lambda found: found and found[-1]["destino"]["status"] == "chamando", 2)

        own_server.kill()
        await call.hears(DORA)
        await line.hears(CARLA)
        own_server.start()
        await call.hears(DORA)
        await line.hears(CARLA)
        dados = await r.dialled()
        assert (dados["ativa"], dados["destino"]["status"], dados["ramal_id_origem"]) == (True, "atendida", r.id)
        await ringing.ended(within=5)  # a half-rung call is not taken up
        assert (await other.ended())["destino"]["status"] in ("falha", "cancelada")
        await r.registrado()  # the engine kept the registrations

        await line.hangup()
        await call.ended(within=2)
        dados = await r.ended()
        assert dados["origem"]["status"] == dados["destino"]["status"] == "atendida"
        assert dados["destino"]["motivo_desconexao"] == "16. normal"
        again = await phone.dial(other.numero)
        await (await telephone.incoming()).reject(486)
        assert await refused(again) == 486
        await nothing_left(own_api)
