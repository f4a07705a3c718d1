"""Money, duration and capacity: what a call may cost, how long it may last, how many a trunk takes."""

import re
from decimal import Decimal

import pytest

from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.server import Server, free_port
from tests.phone import Phone


def new_conta(server: Server, credito: str) -> str:
    """The token of a conta made on the command line while the server runs."""
    said = server.run("conta", "create", "loja", "--credito", credito)
    token = re.search(r"\b[0-9a-f]{48}\b", said)
    assert token is not None, said
    return token[0]


def saldo(server: Server) -> tuple[Decimal, Decimal]:
    """saldo and reservado of the newest conta, as the operator sees them."""
    row = server.run("conta", "list").strip().splitlines()[-1]
    amounts = [Decimal(found.replace(".", "").replace(",", ".")) for found in re.findall(r"-?[\d.]+,\d+", row)]
    return amounts[0], amounts[1]


async def test_a_short_saldo_refuses_before_anything_rings(api: Api, ana: Phone) -> None:
    token = new_conta(api.server, "0,46")  # one minute of fixo and movel is 0,47
    answer = await api.http.post(
        "/chamada", json={"numero_origem": FIXO, "numero_destino": MOVEL}, headers={"Access-Token": token}
    )
    assert (answer.status_code, answer.json()["motivo"]) == (402, 9)
    assert saldo(api.server) == (Decimal("0.46"), Decimal(0))
    assert ana.total == 0


async def test_the_exact_price_is_charged_and_the_reserve_given_back(api: Api, ana: Phone, bia: Phone) -> None:
    token = new_conta(api.server, "1,00")
    headers = {"Access-Token": token}
    answer = await api.http.post("/chamada", json={"numero_origem": FIXO, "numero_destino": MOVEL}, headers=headers)
    id = answer.json()["dados"]["id"]
    assert saldo(api.server) == (Decimal("1.00"), Decimal("0.47"))
    refused = await api.http.post("/chamada", json={"numero_origem": MOVEL, "numero_destino": MOVEL}, headers=headers)
    assert refused.status_code == 402  # what is reserved cannot be spent twice
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.reject(486)
    await a.ended()

    async def mine() -> dict[str, object]:
        dados: dict[str, object] = (await api.http.get(f"/chamada/{id}", headers=headers)).json()["dados"]
        return dados

    await api.until(mine, lambda dados: dados["status_geral"] == "finalizada", 5)
    assert saldo(api.server) == (Decimal("0.88"), Decimal(0))
    assert (await api.http.get(f"/chamada/{id}")).status_code == 404  # another conta's is nobody's


async def test_the_engine_ends_a_call_at_its_limit_also_with_the_server_dead(own_server: Server, own_api: Api) -> None:
    own_server.environment["TELEFONISTA_MAX_CALL_SECONDS"] = "10"
    own_server.start()
    watched = await own_api.call("1030000021", "1030000022")
    dados = await own_api.ended(watched, within=14)
    assert dados["destino"]["duracao_falada_segundos"] == 10
    unwatched = await own_api.call("1030000021", "1030000022")
    await own_api.talking(unwatched)
    own_server.kill()

    async def channels() -> list[str]:
        return [channel["id"] for channel in own_server.ask_engine("/channels")]

    await own_api.until(channels, lambda ids: f"{unwatched}-a" not in ids, within=13)
    own_server.start()
    dados = await own_api.ended(unwatched)
    assert dados["destino"]["duracao_falada_segundos"] == 10
    await nothing_left(own_api)


async def test_a_full_trunk_makes_a_call_wait_then_tells_congestionado(api: Api) -> None:
    port = free_port()
    api.server.run(
        "tronco", "add", "estreito", "--host", "127.0.0.4", "--porta", str(port), "--classes", "0800", "--canais", "1"
    )  # fmt: skip
    try:
        async with Phone("127.0.0.4", port, tone=500) as phone:
            first = await api.call("08001234567", "1030000002")
            line = await phone.incoming()
            await line.ringing()
            second = await api.call("08001234567", "1030000002")
            dados = await api.ended(second, within=5)
            assert dados["origem"]["status"] == "congestionado"
            assert phone.total == 1
            third = await api.call("08001234567", "1030000002")
            await api.ask("DELETE", f"/chamada/{first}")
            await (await phone.incoming(within=2)).reject(486)  # the place that came free is taken
            assert (await api.ended(third))["origem"]["status"] == "ocupado"
    finally:
        api.server.run("tronco", "remove", "estreito")


@pytest.mark.parametrize("numero", ["+14155552671", "08007654321", "190"])
async def test_a_number_without_a_way_is_refused(api: Api, trunks: object, numero: str) -> None:
    answer = await api.http.post("/chamada", json={"numero_origem": numero, "numero_destino": MOVEL})
    assert (answer.status_code, answer.json()["motivo"]) in ((405, 11), (403, 8))
    assert "numero_origem" in answer.json()["mensagem"]
