"""What the far ends of the fake engine do: the test network's numbers and scripted ones; read by its legs only."""

from dataclasses import dataclass

from telefonista.engine.rede import canonico


@dataclass(frozen=True)
class Behaviour:
    """A far end. Seconds: `ring`, `early`, `answer`, `refuse_at` since it was dialled, the others since its answer.

    What is None does not happen. `refuse` is a SIP code of 300 to 699, `hang_up_cause` is Q.850.
    """

    ring: float | None = None
    early: float | None = None  # media before the answer
    answer: float | None = None
    hang_up: float | None = None
    hang_up_cause: int = 16
    refuse: int | None = None
    refuse_at: float = 0.05
    keys: tuple[tuple[float, str], ...] = ()
    hertz: int = 0  # what it sounds like in recordings; 0 is silent


# The cause the engine gives for each SIP code (Asterisk 22.10); all others are 127, interworking.
_CAUSES = {
    17: (486, 600),
    1: (404, 485, 604),
    19: (480, 483),
    18: (408,),
    21: (603, 403, 401, 407),
    22: (410,),
    34: (503, 513, 580),
    38: (500,),
    27: (502,),
    28: (484,),
    58: (488, 606),
    102: (504,),
    29: (501,),
    41: (409,),
    3: (420,),
    23: (302,),
}
_CAUSE_OF_SIP = {sip: cause for cause, sips in _CAUSES.items() for sip in sips}


def cause_of_sip(sip: int) -> int:
    """Q.850 cause of a SIP final response."""
    return _CAUSE_OF_SIP.get(sip, 127)


UNKNOWN = Behaviour(refuse=404)

# As engine.rede describes them; the instants are those of the real one to some 50 ms.
_REDE = {
    "1030000001": Behaviour(ring=0.05, answer=0.85, hang_up=12.5, hertz=300),
    "1030000002": Behaviour(ring=0.05, answer=0.25),
    "1030000003": Behaviour(refuse=486),
    "1030000004": Behaviour(ring=0.05, refuse=480, refuse_at=300.0),
    "1030000005": Behaviour(refuse=404),
    "1030000006": Behaviour(refuse=503),
    "1030000007": Behaviour(early=0.05, refuse=480, refuse_at=7.0, hertz=300),
    "1030000008": Behaviour(ring=0.05, answer=0.85, hang_up=20.0, hertz=300),
    "1030000009": Behaviour(ring=0.05, answer=0.85, keys=((1.1, "1"),), hang_up=60.0),
    "1030000010": Behaviour(refuse=603),
    "1030000011": Behaviour(ring=0.05, answer=0.25, hang_up=3.0),
    "1030000021": Behaviour(ring=0.05, answer=0.25, hertz=440),
    "1030000022": Behaviour(ring=0.05, answer=0.25, hertz=880),
}


def of_numero(numero: str) -> Behaviour:
    """How the test network treats a number; one it does not have is refused with 404."""
    return _REDE.get(canonico(numero) or "", UNKNOWN)
