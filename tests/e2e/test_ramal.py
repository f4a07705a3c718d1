"""Ramais with real telephones: how they register, ring on every device, change at once, and outlive the engine."""

import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import Api, nothing_left
from tests.e2e.ramais import RamalDeTeste, ramal
from tests.e2e.server import Server
from tests.e2e.test_limits import new_conta
from tests.phone import Phone, Refused

TONE = "1030000021"  # answers and plays 440 Hz


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_telephone_registers_with_what_the_api_answered(api: Api, transport: str) -> None:
    async with ramal(api, nome="Ana") as r:
        assert r.dados["sip"]["registrado"] is False
        async with r.telephone("127.0.0.41", transport=transport, tone=700) as phone:
            assert await phone.register() > 0
            await r.registrado()
            id = await api.call(TONE, r.numero)
            call = await phone.incoming()
            assert call.from_number == TONE
            await call.answer()
            await call.hears(440)
            await call.hangup()
            assert (await api.ended(id))["destino"]["tipo"] == "ramal"
            await phone.unregister()
            await r.registrado(False)


async def test_a_tcp_telephone_that_vanishes_is_not_registered_any_more(api: Api) -> None:
    async with ramal(api) as r, r.telephone("127.0.0.41", transport="tcp") as phone:
        await phone.register()
        await r.registrado()
        phone.expires = 0  # it says no goodbye
        await phone.close()
        await r.registrado(False)


async def test_a_wrong_senha_is_refused(api: Api) -> None:
    async with ramal(api) as r, r.telephone("127.0.0.42", password="Errada-123456") as phone:
        with pytest.raises(Refused) as refused:
            await phone.register()
        assert refused.value.status == 401
        assert (await r.seen())["sip"]["registrado"] is False
        await phone.register(password=r.dados["senha"])


@pytest.mark.parametrize("papel", ["origem", "destino"])
async def test_every_device_rings_and_the_first_to_answer_has_the_call(api: Api, papel: str) -> None:
    async with (
        ramal(api) as r,
        r.registered("127.0.0.43", tone=700) as desk,
        r.registered("127.0.0.44", tone=900) as mobile,
        r.registered("127.0.0.45", tone=1100, transport="tcp") as door,
    ):
        id = await (api.call(r.numero, TONE) if papel == "origem" else api.call(TONE, r.numero))
        lines = [await phone.incoming() for phone in (desk, mobile, door)]
        for line in lines:
            await line.ringing()
        await lines[1].answer()
        for other in (lines[0], lines[2]):
            await other.cancelled(within=2)
            assert any("200" in reason or "26" in reason for reason in other.end_reason), other.end_reason
        await lines[1].hears(440)
        assert [phone.total for phone in (desk, mobile, door)] == [1, 1, 1]
        await lines[1].hangup()
        dados = await api.ended(id)
        assert (dados[papel]["tipo"], dados[papel]["status"]) == ("ramal", "atendida")
        assert dados[papel]["numero"] == r.numero


async def test_a_caller_hears_our_ringing_tone_while_several_devices_ring(api: Api) -> None:
    async with (
        ramal(api) as r,
        ramal(api) as caller,
        r.registered("127.0.0.43", tone=700) as desk,
        r.registered("127.0.0.44", tone=900) as mobile,
        caller.registered("127.0.0.46", tone=1300) as phone,
    ):
        id = await api.call(caller.numero, r.numero)
        a = await phone.incoming()
        await a.answer()
        lines = [await desk.incoming(), await mobile.incoming()]
        for line in lines:
            await line.ringing()
        await a.hears_ringback()
        await lines[0].answer()
        await a.hears(700)
        await lines[0].hears(1300)
        await a.hangup()
        await api.ended(id)


async def test_one_busy_device_leaves_the_call_to_the_other_and_all_busy_is_ocupado(api: Api) -> None:
    async with (
        ramal(api) as r,
        r.registered("127.0.0.43", tone=700) as desk,
        r.registered("127.0.0.44", tone=900) as mobile,
    ):
        id = await api.call(TONE, r.numero)
        await (await desk.incoming()).reject(486)
        line = await mobile.incoming()
        await line.answer()
        await line.hears(440)
        await line.hangup()
        assert (await api.ended(id))["destino"]["status"] == "atendida"

        id = await api.call(TONE, r.numero)
        await (await desk.incoming()).reject(486)
        await (await mobile.incoming()).reject(486)
        destino = (await api.ended(id))["destino"]
        assert (destino["status"], destino["motivo_desconexao"]) == ("ocupado", "17. ocupado")


@pytest.mark.parametrize("papel", ["origem", "destino"])
async def test_a_ramal_without_a_telephone_is_an_absent_subscriber(api: Api, papel: str) -> None:
    async with ramal(api) as r:
        id = await (api.call(r.numero, TONE) if papel == "origem" else api.call(TONE, r.numero))
        dados = await api.ended(id)
        assert (dados[papel]["status"], dados[papel]["motivo_desconexao"]) == ("sem resposta", "20. assinante ausente")
        assert dados[papel]["preco"] == 0


async def test_a_new_senha_and_a_removal_are_in_force_within_a_second(api: Api) -> None:
    async with ramal(api, senha="Primeira-01") as r, r.telephone("127.0.0.47", tone=700) as phone:
        await phone.register()
        began = time.monotonic()
        await r.edit(senha="Segunda-02")
        with pytest.raises(Refused) as refused:
            await phone.register(password="Primeira-01")
        assert refused.value.status == 401
        await phone.register(password="Segunda-02")
        assert time.monotonic() - began < 1
        began = time.monotonic()
        await api.ask("DELETE", f"/ramal/{r.id}")
        with pytest.raises(Refused):
            await phone.register()
        outgoing = await phone.dial(TONE)
        with pytest.raises(Refused):
            await outgoing.answered(2)
        assert time.monotonic() - began < 1
        answer = await api.http.post("/chamada", json={"numero_origem": r.numero, "numero_destino": TONE})
        assert (answer.status_code, answer.json()["motivo"]) == (405, 11)


async def test_a_removed_ramal_does_not_ring_when_it_is_made_again(api: Api) -> None:
    """The old telephone registered with a senha that is gone: the new ramal of that number starts with nobody."""
    async with ramal(api) as r, r.registered("127.0.0.48") as phone:
        await r.registrado()
        await api.ask("DELETE", f"/ramal/{r.id}")
        async with ramal(api, ramal=r.numero) as again:
            assert again.dados["sip"]["registrado"] is False
            id = await api.call(TONE, again.numero)
            assert (await api.ended(id))["destino"]["motivo_desconexao"] == "20. assinante ausente"
            assert phone.total == 0


async def test_two_contas_may_have_the_same_number(api: Api) -> None:
    token = new_conta(api.server, "10,00")
    async with (
        ramal(api, ramal="4700") as mine,
        ramal(api, token, ramal="4700") as theirs,
        mine.registered("127.0.0.51", tone=700) as phone,
        theirs.registered("127.0.0.52", tone=900) as other,
    ):
        assert mine.dados["sip"]["usuario"] != theirs.dados["sip"]["usuario"]
        for owner, rings, quiet in ((mine, phone, other), (theirs, other, phone)):
            before = quiet.total
            corpo = {"numero_origem": TONE, "numero_destino": "4700"}
            made = await api.ask("POST", "/chamada", json=corpo, headers=owner.headers)
            line = await rings.incoming()
            await line.reject(486)
            assert quiet.total == before

            async def seen(id: int = made["id"], owner: RamalDeTeste = owner) -> dict[str, object]:
                dados: dict[str, object] = await api.ask("GET", f"/chamada/{id}", headers=owner.headers)
                return dados

            await api.until(seen, lambda dados: dados["status_geral"] == "finalizada", 5)
        assert (await api.http.get(f"/ramal/{theirs.id}")).status_code == 404


async def test_who_calls_is_shown(api: Api) -> None:
    async with (
        ramal(api, nome="Ana Conceição") as ana,
        ramal(api) as bia,
        ana.registered("127.0.0.53", tone=700) as phone_a,
        bia.registered("127.0.0.54", tone=900) as phone_b,
    ):
        await phone_a.dial(bia.numero)
        line = await phone_b.incoming()
        assert line.from_number == ana.numero
        assert "Ana Conceição" in line.from_header
        await line.reject(486)
        await ana.ended()
        id = await api.call(ana.numero, bia.numero)
        line = await phone_a.incoming()
        assert line.from_number == bia.numero  # by default each is shown the other's number
        await line.answer()
        line = await phone_b.incoming()
        assert line.from_number == ana.numero
        await line.reject(486)
        await api.ended(id)
        id = await api.call(TONE, bia.numero, bina_destino="4832830152")
        line = await phone_b.incoming()
        assert line.from_number == "4832830152"
        await line.reject(486)
        await api.ended(id)


async def test_the_ramal_says_whether_its_own_calls_are_recorded(api: Api) -> None:
    async with ramal(api, gravar_audio=True) as r, r.registered("127.0.0.55", tone=700) as phone:
        for recorded in (True, False):
            await r.edit(gravar_audio=recorded)
            call = await phone.call(TONE)
            await call.hears(440)
            await call.hangup()
            dados = await r.ended()
            assert dados["gravar_audio"] is recorded
            if recorded:
                assert (await api.recorded(dados["id"]))["url_gravacao"]
        answer = await api.http.get(f"/chamada/{dados['id']}/gravacao")
        assert (answer.status_code, answer.json()["motivo"]) == (404, 70)


SENHA = "Senha-dos-1000"


def insert_ramais(server: Server, number: int, first: int = 10000) -> None:
    """Rows written past the product, which is not running."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(server.home / "telefonista.db") as database:
        columns = [row[1:4] for row in database.execute("PRAGMA table_info(ramal)")]
        fixed = {"conta_id": 1, "senha": SENHA, "criado_em": now, "webphone": 1}
        names = [name for name, _, required in columns if required and name != "id"]
        rows = []
        for numero in range(first, first + number):
            own = {"ramal": str(numero), "login": f"{numero}@teste", "webphone_key": f"chave-{numero}"}
            rows.append([{**fixed, **own}.get(name, 0) for name in names])
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO ramal ({', '.join(names)}) VALUES ({marks})", rows)  # noqa: S608
    database.close()


async def in_reach(api: Api, *phones: Phone) -> None:
    """Wait until these telephones are known, and until the engine has written them down: it commits once a second."""
    wanted = {phone.user for phone in phones}

    def written() -> set[str]:
        path = api.server.home / "motor" / "db" / "astdb.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            keys = database.execute("SELECT key FROM astdb WHERE key LIKE '/registrar/contact/%'")
            return {key.removeprefix("/registrar/contact/").partition(";")[0] for (key,) in keys}

    async def known() -> set[str]:
        found = set()
        for user in wanted:
            numero = int(user.partition("c")[0])
            pagina = {"posicao": str(numero - 10000), "limite": "1"}
            (row,) = (await api.ask("GET", "/ramal/relatorio", params=pagina))["relatorio"]
            if row["sip"]["registrado"]:
                found.add(row["sip"]["usuario"])
        return found & written()

    await api.until(known, lambda found: found == wanted, 3)


async def talk(api: Api, first: Phone, last: Phone) -> None:
    """The two telephones of many talk to each other by a chamada."""
    id = await api.call(first.user.partition("c")[0], last.user.partition("c")[0])
    a = await first.incoming()
    await a.answer()
    b = await last.incoming()
    await b.answer()
    await a.hears(900)
    await b.hears(700)
    await b.hangup()
    await a.ended()
    await api.ended(id)


@pytest.mark.parametrize("number", [1000, 3000])  # pushed one by one; given all at once
async def test_many_ramais_are_there_at_start_and_their_telephones_after_a_crash_of_the_engine(
    own_server: Server, own_api: Api, number: int
) -> None:
    own_server.start()
    assert own_server.stop() == 0
    insert_ramais(own_server, number)
    own_server.start()
    pushed = re.search(rf"ramais_in_engine +number={number} seconds=([\d.]+)", own_server.log())
    assert pushed is not None, own_server.log()
    assert float(pushed[1]) < 5
    sip = f"127.0.0.1:{own_server.sip_port}"
    newest = f"{9999 + number}c1"
    async with (
        Phone("127.0.0.56", tone=700, user="10000c1", password=SENHA, server=sip) as first,
        Phone("127.0.0.57", tone=900, user=newest, password=SENHA, server=sip) as last,
    ):
        for phone in (first, last):
            await phone.register()
        await in_reach(own_api, first, last)
        await talk(own_api, first, last)
        os.kill(own_server.motor()["pid"], signal.SIGKILL)
        await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 503, 3)
        await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 200, 8)
        await in_reach(own_api, first, last)
        await talk(own_api, first, last)

        began = time.monotonic()
        await own_api.ask("PUT", "/ramal/1", json={"senha": 'Nova;01 >"x'})
        with pytest.raises(Refused):
            await first.register(password=SENHA)
        assert time.monotonic() - began < 1
        await first.register(password='Nova;01 >"x')
        began = time.monotonic()
        await own_api.ask("DELETE", f"/ramal/{number}")
        with pytest.raises(Refused):
            await last.register()
        assert time.monotonic() - began < 1
        async with ramal(own_api, ramal="9000") as r, r.registered("127.0.0.58", tone=900) as added:
            await r.registrado()
            await talk(own_api, first, added)
    await nothing_left(own_api)
    assert own_server.complaints() == []


def test_no_file_of_the_engine_holds_a_senha(server: Server, tmp_path: Path) -> None:
    """Accounts live in the engine's memory: its configuration on the disk names no ramal."""
    text = (server.home / "motor" / "etc" / "pjsip.conf").read_text()
    assert "type=auth" not in text
    assert str(tmp_path) not in text
