"""Click-to-call with two real telephones: who rings, who hears whom, who hung up, and what the record says."""

import pytest

from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api
from tests.phone import Phone, Tone


async def test_two_telephones_talk_and_leave_a_recording(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL, gravar_audio="true", tags="venda 7", bina_destino="4832830152")
    a = await ana.incoming()
    assert a.to_number == FIXO
    assert a.from_number == MOVEL  # by default each is shown the other's number
    await a.ringing()
    assert (await api.until(lambda: api.chamada(id), lambda c: c["origem"]["status"] == "chamando", 3))["ativa"]
    await a.answer()
    b = await bia.incoming()
    assert (b.to_number, b.from_number) == (MOVEL, "4832830152")
    await b.ringing()
    await a.hears_ringback()
    await b.answer()
    await a.hears(1300)
    await b.hears(700)
    await a.hears_not(700)
    await b.hears_not(1300)
    await a.hears(1300)
    await b.hangup()
    await a.ended(within=2)
    assert a.ended_by == "them"

    dados = await api.recorded(id)
    assert dados["status_geral"] == "finalizada"
    assert dados["ativa"] is False
    assert dados["tags"] == "venda 7"
    for perna, tipo, preco in (("origem", "fixo", 0.12), ("destino", "movel", 0.35)):
        assert dados[perna]["tipo"] == tipo
        assert dados[perna]["status"] == "atendida"
        assert dados[perna]["motivo_desconexao"] == "16. normal"
        assert dados[perna]["duracao_cobrada"] == "00:01:00"
        assert dados[perna]["preco"] == preco
    sidecar = api.server.recording(id)
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300
    assert sidecar["aviso"] is None
    by_token = await api.http.get(f"/chamada/{id}/gravacao")
    by_link = await api.http.get(dados["url_gravacao"], headers={"Access-Token": ""})
    assert by_token.headers["content-type"] == by_link.headers["content-type"] == "audio/mpeg"
    assert by_token.content == by_link.content
    part = await api.http.get(f"/chamada/{id}/gravacao", headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, by_token.content[:100])
    left, right, rate = sides(by_token.content)
    hears(left, rate, 700, absent=(1300,))
    hears(right, rate, 1300, absent=(700,))
    assert abs(len(left) / rate * 1000 - sidecar["conversa_ms"]) <= 300


async def test_origem_hears_the_early_media_of_destino(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.early_media(Tone(1500))
    await a.hears(1500)
    await b.answer(Tone(1300))
    await a.hears(1300)
    await a.hangup()
    await b.ended(within=2)
    assert (await api.ended(id))["destino"]["status"] == "atendida"


SIP_CODES = [
    (486, "ocupado", "17. ocupado"),
    (600, "ocupado", "17. ocupado"),
    (404, "não existe", "1. telefone não existe"),
    (604, "não existe", "1. telefone não existe"),
    (410, "não existe", "22. este número mudou"),
    (484, "não existe", "28. formato inválido de número"),
    (480, "sem resposta", "19. sem resposta - mas chamou"),
    (408, "sem resposta", "18. sem resposta"),
    (503, "congestionado", "34. sem canal disponível"),
    (603, "falha", "21. chamada rejeitada"),
    (403, "falha", "21. chamada rejeitada"),
    (500, "falha", "38. rede fora de serviço"),
    (502, "falha", "27. destino não está funcionando"),
    (504, "falha", "102. timeout"),
    (488, "falha", "58. erro de mídia ou parâmetros incompatíveis"),
    (302, "falha", "23. redirecionado para novo destino"),
    (400, "falha", "127. erro de conectividade"),
]


@pytest.mark.parametrize(("code", "status", "motivo"), SIP_CODES)
async def test_every_refusal_of_destino_is_told(
    api: Api, ana: Phone, bia: Phone, code: int, status: str, motivo: str
) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.reject(code)
    await a.ended(within=3)
    dados = await api.ended(id)
    assert (dados["destino"]["status"], dados["destino"]["motivo_desconexao"]) == (status, motivo)
    assert dados["destino"]["preco"] == 0
    assert dados["destino"]["duracao_cobrada_segundos"] == 0
    assert dados["origem"]["status"] == "atendida"


@pytest.mark.parametrize(("code", "status"), [(486, "ocupado"), (404, "não existe"), (503, "congestionado")])
async def test_a_refusal_of_origem_never_rings_destino(
    api: Api, ana: Phone, bia: Phone, code: int, status: str
) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.reject(code)
    dados = await api.ended(id)
    assert dados["origem"]["status"] == status
    assert dados["destino"]["status"] == "cancelada"
    assert dados["destino"]["data_inicio"] is None
    assert dados["destino"]["duracao_segundos"] == 0
    assert bia.total == 0


async def test_destino_rings_out(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.ringing()
    await b.cancelled(within=7)
    await a.ended(within=2)
    dados = await api.ended(id)
    assert dados["destino"]["status"] == "sem resposta"
    assert dados["destino"]["motivo_desconexao"] == "19. sem resposta - mas chamou"
    assert dados["destino"]["duracao_segundos"] == 5


async def test_origem_rings_out(api: Api, ana: Phone) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.ringing()
    await a.cancelled(within=7)
    assert (await api.ended(id))["origem"]["status"] == "sem resposta"


async def test_origem_gives_up_while_destino_rings(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.ringing()
    await a.hangup()
    await b.cancelled(within=2)
    dados = await api.ended(id)
    assert dados["origem"]["status"] == "atendida"
    assert dados["destino"]["status"] == "cancelada"
    assert dados["destino"]["preco"] == 0


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize("stage", ["origem", "destino", "conversa"])
async def test_a_chamada_is_ended_at_every_stage(api: Api, ana: Phone, bia: Phone, stage: str, method: str) -> None:
    id = await api.call(FIXO, MOVEL)
    a = await ana.incoming()
    await a.ringing()
    if stage != "origem":
        await a.answer()
        b = await bia.incoming()
        await b.ringing()
        if stage == "conversa":
            await b.answer()
            await b.hears(700)
    answer = await api.http.request(method, f"/chamada/{id}")
    assert answer.json() == {
        "status": 200,
        "sucesso": True,
        "motivo": 0,
        "mensagem": "encerrando chamada",
        "dados": None,
    }
    await (a.cancelled(within=2) if stage == "origem" else a.ended(within=2))
    if stage != "origem":
        await (b.ended(within=2) if stage == "conversa" else b.cancelled(within=2))
    dados = await api.ended(id)
    status = {"origem": ("cancelada", "cancelada"), "destino": ("atendida", "cancelada")}
    assert (dados["origem"]["status"], dados["destino"]["status"]) == status.get(stage, ("atendida", "atendida"))
    again = await api.http.request(method, f"/chamada/{id}")
    assert (again.status_code, again.json()["motivo"]) == (405, 80)
