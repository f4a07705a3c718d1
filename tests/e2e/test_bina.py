"""Which number real telephones are shown by a trunk, and the call that speaks a code."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import Api, nothing_left
from tests.e2e.server import Server, free_port
from tests.phone import Phone
from tests.phone.audio import loudness
from tests.phone.call import Call

MINE, OTHER, SECOND = "4832830151", "4830300000", "1130830152"


@pytest.fixture
async def phone(own_server: Server, own_api: Api) -> AsyncIterator[Phone]:
    """The telephone of every fixo number, behind the trunk `op` of a server that shows confirmed numbers only."""
    own_server.start()
    port = free_port()
    own_server.run("tronco", "add", "op", "--host", "127.0.0.2", "--porta", str(port), "--classes", "fixo")
    async with Phone("127.0.0.2", port, tone=700) as phone:
        yield phone
    await nothing_left(own_api)


async def shown(api: Api, phone: Phone, **binas: str) -> str:
    """What the telephone shows when it is called."""
    id = await api.call(OTHER, "1030000001", **binas)
    call = await phone.incoming()
    await call.reject(486)
    await api.ended(id)
    return str(call.from_number)


async def test_only_confirmed_numbers_leave_by_a_trunk(own_server: Server, own_api: Api, phone: Phone) -> None:
    wish = {"numero_origem": OTHER, "numero_destino": "1030000001", "bina_origem": MINE}
    answer = await own_api.http.post("/chamada", json=wish)
    assert (answer.status_code, answer.json()["motivo"]) == (403, 8)
    assert "bina_origem" in answer.json()["mensagem"]
    assert await shown(own_api, phone) == "anonymous"

    own_server.run("bina", "add", SECOND, "--conta", "1")
    own_server.run("bina", "add", MINE, "--conta", "1")
    assert await shown(own_api, phone, bina_origem=MINE) == MINE
    assert await shown(own_api, phone) == SECOND, "instead of a number of the test network's"
    own_server.run("bina", "remove", MINE, "--conta", "1")
    answer = await own_api.http.post("/chamada", json=wish)
    assert answer.status_code == 403
    assert phone.total == 3


async def test_the_trunks_own_number_always_wins(own_server: Server, own_api: Api, phone: Phone) -> None:
    own_server.run("tronco", "remove", "op")
    own_server.run(
        "tronco", "add", "op2", "--host", "127.0.0.2", "--porta", str(phone.port), "--classes", "fixo", "--bina", SECOND
    )
    assert await shown(own_api, phone) == SECOND
    assert await shown(own_api, phone, bina_origem=MINE) == SECOND


def utterances(call: Call) -> list[tuple[float, float]]:
    """When each stretch of sound began and ended, on the ear's clock: in a pause the engine sends nothing."""
    arrivals = call.ear.arrivals()
    starts = [0, *(index for index in range(1, len(arrivals)) if arrivals[index] - arrivals[index - 1] > 0.2)]
    ends = [*(index - 1 for index in starts[1:]), len(arrivals) - 1]
    return [(arrivals[start], arrivals[end]) for start, end in zip(starts, ends, strict=True)]


async def test_a_code_is_spoken_twice(own_server: Server, own_api: Api, phone: Phone) -> None:
    made = await own_api.ask("POST", "/bina", json={"numero": MINE})
    call = await phone.incoming()
    assert call.to_number == MINE
    await call.answer()
    await call.ended(within=40)
    spoken = utterances(call)
    assert len(spoken) == 14, "two openings and twice six digits"
    assert all(loudness(call.heard(start, end)) > 500 for start, end in spoken)
    lengths = [end - start for start, end in spoken]
    assert lengths[0] > 3
    for once, again in zip(lengths[1:7], lengths[8:], strict=True):
        assert 0.3 < once < 1
        assert abs(once - again) < 0.1, "the same digits again"
    dados = await own_api.ended(made["chamada_id"])
    assert (dados["origem"]["status"], dados["origem"]["motivo_desconexao"]) == ("atendida", "16. normal")
    assert (dados["destino"], dados["origem"]["preco"]) == (None, 0.12)

    path = f"/bina/{made['id']}"
    answer = await own_api.http.post(f"{path}/confirmar", json={"codigo": "000000"})
    assert (answer.status_code, answer.json()["motivo"]) == (405, 11)
    assert (await own_api.ask("GET", path))["confirmada"] is False
    assert (await own_api.http.post(f"{path}/codigo")).status_code == 429
    wish = {"numero_origem": OTHER, "numero_destino": "1030000001", "bina_origem": MINE}
    assert (await own_api.http.post("/chamada", json=wish)).status_code == 403
    own_server.run("bina", "add", MINE, "--conta", "1")
    assert (await own_api.ask("GET", path))["confirmada"] is True
    assert await shown(own_api, phone, bina_origem=MINE) == MINE


async def test_a_confirmation_call_that_is_not_taken(own_api: Api, phone: Phone) -> None:
    made = await own_api.ask("POST", "/bina", json={"numero": MINE})
    await (await phone.incoming()).reject(486)
    dados = await own_api.ended(made["chamada_id"])
    assert (dados["origem"]["status"], dados["origem"]["preco"]) == ("ocupado", 0)


async def test_the_server_is_killed_while_it_speaks(own_server: Server, own_api: Api, phone: Phone) -> None:
    made = await own_api.ask("POST", "/bina", json={"numero": MINE})
    call = await phone.incoming()
    await call.answer()
    await own_api.until(
        lambda: own_api.chamada(made["chamada_id"]), lambda dados: dados["origem"]["status"] == "atendida", 5
    )
    own_server.kill()
    own_server.start()
    await call.ended(within=5)
    dados = await own_api.ended(made["chamada_id"])
    assert dados["origem"]["status"] == "atendida"
