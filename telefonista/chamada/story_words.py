"""The story of a chamada in Portuguese sentences, for people; pure text, nothing here is HTML."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from telefonista.calling.causes import motivo_desconexao
from telefonista.chamada.story_told import Historia
from telefonista.storage.tables import Chamada, Evento, Perna

MESES = "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"
DIAS = "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo"

PAPEIS = {"origem": "Origem", "destino": "Destino", "transferencia": "Transferência", "escuta": "Escuta"}

_DESFECHOS = {
    "origem desligou": "A origem desligou.",
    "destino desligou": "O destino desligou.",
    "encerrada": "Encerrada pela API.",
    "cancelada": "Cancelada antes de se completar.",
    "limite": "Acabou o tempo: a duração máxima, ou o que o saldo pagava.",
    "falha": "Falhou: a ligação caiu ou não pôde ser feita.",
    "ocupado": "O telefone chamado estava ocupado.",
    "sem resposta": "Ninguém atendeu.",
    "não existe": "O número chamado não existe.",
    "congestionado": "A rede estava congestionada.",
    "transferida": "Passou a outra chamada.",
    "transferência sem resposta": "A transferência não foi atendida.",
}
_GRAVACOES = {
    "gravando": "sendo gravada",
    "pausada": "pausada",
    "convertendo": "sendo preparada",
    "pronta": "pronta",
    "falhou": "falhou",
    "removida": "removida ao fim do prazo de retenção",
}


def outcome(chamada: Chamada) -> str:
    """How it ended, or where it is."""
    if chamada.status_geral == "criada":
        return "Ainda não foi discada."
    if chamada.status_geral != "finalizada":
        return "Em andamento."
    desfecho = chamada.desfecho or "sem desfecho conhecido"
    return _DESFECHOS.get(desfecho, f"{desfecho[:1].upper()}{desfecho[1:]}.")


def what_happened(historia: Historia, evento: Evento, zone: ZoneInfo) -> str:
    """One entry of the journal."""
    dados, perna = evento.dados, historia.perna(evento.perna)
    match evento.tipo:
        case "criada" if dados.get("agendada_para"):
            return f"Chamada criada, para {long_date(_instant(dados['agendada_para']), zone)}"
        case "criada":
            return "Chamada criada"
        case "colocada":
            return "Chegou a hora agendada"
        case "nao_colocada":
            return f"Não pôde ser feita: {dados.get('motivo', 'sem motivo conhecido')}"
        case "discada":
            return "Ligação feita"
        case "recebida":
            return "Ligação recebida"
        case "chamando":
            return "Tocando"
        case "atendida":
            return "Atendeu"
        case "conversa":
            return "Em conversa"
        case "transferencia":
            entra = historia.perna(dados.get("entra"))
            return f"Transferência: sai {dados.get('sai', '?')}, entra {entra.numero if entra else 'outro telefone'}"
        case "gravando":
            return "Gravando" if dados.get("parte", 1) == 1 else f"Gravando (trecho {dados['parte']})"
        case "gravacao pausada":
            return "Gravação pausada"
        case "gravacao encerrada":
            return "Gravação encerrada"
        case "midia":
            return f"Som: {sound(dados)}"
        case "desligada":
            return ending(perna, dados)
        case "fim":
            return f"Fim: {outcome(historia.vista.chamada)}"
    return evento.tipo.replace("_", " ").capitalize()


def ending(perna: Perna | None, dados: Mapping[str, Any]) -> str:
    """How a leg ended: by whom, and the cause."""
    answered = perna is not None and perna.atendida_em is not None
    if dados.get("transferida"):
        return "Passou a outra chamada"
    match dados.get("por"):
        case "far":
            who = "Desligou" if answered else "Não atendeu" if dados.get("sip") in (None, 480, 487, 408) else "Recusou"
        case "us":
            who = "Desligada pelo sistema"
        case "limit":
            who = "Desligada: acabou o tempo"
        case _:
            who = "Caiu"
    sip = dados.get("sip")
    return f"{who} — {motivo_desconexao(dados.get('causa'))}" + (f" (SIP {sip})" if sip else "")


def short_ending(perna: Perna | None, dados: Mapping[str, Any]) -> str:
    """The same in a word or two."""
    if dados.get("transferida"):
        return "outra chamada"
    if dados.get("sip"):
        return f"{motivo_desconexao(dados.get('causa')).partition('. ')[2][:14]} {dados['sip']}"
    return {"far": "desliga", "us": "desligamos", "limit": "acaba o tempo"}.get(dados.get("por", ""), "cai")


def sound(midia: Mapping[str, Any] | None) -> str:
    """Loss, jitter and round trip."""
    if midia is None:
        return "não medido"
    texts = [f"{_number(midia['perda_percentual'])} % perdido", f"jitter {_number(midia['jitter_ms'])} ms"]
    if midia.get("rtt_ms") is not None:
        texts.append(f"ida e volta {_number(midia['rtt_ms'])} ms")
    return ", ".join(texts)


def recording_state(estado: str) -> str:
    return _GRAVACOES.get(estado, estado)


def money(value: Decimal) -> str:
    """'R$ 1.234,50', with more than two places only where there are any."""
    cents = value.quantize(Decimal("0.01"))
    text = f"{cents if cents == value else value.normalize():,f}"
    return "R$ " + text.translate(str.maketrans(",.", ".,"))


def duration(seconds: float) -> str:
    """'45 s', '1 min 23 s', '2 h 03 min'."""
    total = int(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def long_date(moment: datetime, zone: ZoneInfo) -> str:
    """'quinta-feira, 2 de agosto de 2018, 10:49:30'."""
    local = moment.astimezone(zone)
    day = f"{DIAS.split()[local.weekday()]}, {local.day} de {MESES.split()[local.month - 1]} de {local.year}"
    return f"{day}, {local:%H:%M:%S}"


def clock(moment: datetime, zone: ZoneInfo) -> str:
    """'10:49:30,120'."""
    local = moment.astimezone(zone)
    return f"{local:%H:%M:%S},{local.microsecond // 1000:03d}"


def _number(value: float) -> str:
    return f"{value:.1f}".replace(".", ",")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
