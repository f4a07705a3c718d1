"""How a chamada goes: ring origem, ring destino, join them, until somebody hangs up."""

from telefonista.calling.legs import Desk, reached
from telefonista.calling.pedido import Pedido
from telefonista.calling.talk import conversation


async def bridged_call(desk: Desk, pedido: Pedido) -> str:
    """Ring origem; when it answers ring destino; join them; talk until somebody hangs up.

    Destino busy, silent or unknown: the HungUp of its leg leaves here and origem is let go. Origem gone while destino
    rings: the same the other way round. Cancelled at any stage: both are let go.
    """
    async with (
        reached(desk, pedido, pedido.origem) as a,
        reached(desk, pedido, pedido.destino, heard_by=a) as b,
    ):
        return await conversation(desk, pedido, a, b)
