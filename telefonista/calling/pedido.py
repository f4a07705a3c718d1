"""What a call is asked to do: plain values, made from the rows, read by flows."""

from collections.abc import Sequence
from dataclasses import dataclass

from telefonista.engine.port import Destination, Engine


def ponte(chamada_id: int) -> str:
    """The engine's id of a chamada's bridge."""
    return f"{chamada_id}-br"


def leg_id(chamada_id: int, letra: str, device: int = 0) -> str:
    """The engine's id of a leg: derived from the row, so that nothing is nameless after a crash."""
    return f"{chamada_id}-{letra}" + (f".{device}" if device else "")


@dataclass(frozen=True)
class Rota:
    """Where a number rings: a trunk's endpoint with the number to dial, or a ramal on all its devices."""

    tipo: str  # ramal | movel | fixo
    classe: str  # what the tariff goes by
    e164: str  # or the ramal's number
    endpoint: str
    numero: str = ""  # as the trunk wants it dialled
    tronco_id: int | None = None
    ramal_id: int | None = None

    def destinations(self, engine: Engine) -> Sequence[Destination]:
        """What to dial now; empty when a ramal has no telephone registered."""
        if self.numero:
            return (Destination(self.endpoint, numero=self.numero),)
        return engine.devices(self.endpoint)


@dataclass(frozen=True)
class PernaPedido:
    """One leg to be."""

    chamada_id: int
    letra: str  # a, b ...
    rota: Rota
    bina: str = ""
    nome: str = ""

    def leg_id(self, device: int = 0) -> str:
        """The engine's id of this leg."""
        return leg_id(self.chamada_id, self.letra, device)


@dataclass(frozen=True)
class Pedido:
    """A chamada to place. Seconds throughout."""

    id: int
    conta_id: int
    origem: PernaPedido
    destino: PernaPedido
    toque: int
    limite: int
    gravar: bool = False

    @property
    def ponte(self) -> str:
        return ponte(self.id)

    @property
    def gravacao(self) -> str:
        return f"{self.id}-g"

    @property
    def rede_de_seguranca(self) -> int:
        """After how many seconds the engine ends a leg by itself, whatever becomes of us."""
        return 2 * self.toque + self.limite + 60
