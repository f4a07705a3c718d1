"""Endings in the customer's words: status from the SIP code first, motivo_desconexao from the cause."""

import pytest

from telefonista.calling.causes import MOTIVOS, Status, motivo_desconexao, status_of
from telefonista.engine.port import By


@pytest.mark.parametrize(
    ("cause", "sip", "by", "status"),
    [
        (17, 486, By.FAR, "ocupado"),
        (17, 600, By.FAR, "ocupado"),
        (1, 404, By.FAR, "não existe"),
        (1, 604, By.FAR, "não existe"),
        (22, 410, By.FAR, "não existe"),
        (28, 484, By.FAR, "não existe"),
        (19, 480, By.FAR, "sem resposta"),
        (18, 408, By.FAR, "sem resposta"),
        (19, None, By.US, "sem resposta"),
        (20, None, By.US, "sem resposta"),
        (34, 503, By.FAR, "congestionado"),
        (42, None, By.US, "congestionado"),
        (21, 603, By.FAR, "falha"),
        (21, 403, By.FAR, "falha"),
        (38, 500, By.FAR, "falha"),
        (127, 487, By.FAR, "cancelada"),
        (16, None, By.US, "cancelada"),
        (26, None, By.US, "cancelada"),
        (41, None, By.ENGINE, "falha"),
        (44, None, By.ENGINE, "falha"),
        (99, None, By.FAR, "falha"),
    ],
)
def test_status(cause: int, sip: int | None, by: By, status: str) -> None:
    assert status_of(cause, sip, by) == status


def test_the_sip_code_decides_over_the_cause() -> None:
    assert status_of(19, 486, By.FAR) is Status.OCUPADO
    assert status_of(17, 480, By.FAR) is Status.SEM_RESPOSTA


@pytest.mark.parametrize("sip", range(300, 700))
def test_every_refusal_has_a_status(sip: int) -> None:
    status = status_of(127, sip, By.FAR)
    assert status not in (Status.ATENDIDA, Status.CHAMANDO, Status.PREPARANDO)


def test_motivo() -> None:
    assert motivo_desconexao(None) == "indefinido"
    assert motivo_desconexao(16) == "16. normal"
    assert motivo_desconexao(17) == "17. ocupado"
    assert motivo_desconexao(126) == "126. motivo desconhecido"
    assert all(motivo_desconexao(cause) == f"{cause}. {text}" for cause, text in MOTIVOS.items())
