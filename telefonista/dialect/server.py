"""For `uvicorn.Config(http=HttpProtocol)`: even what is no HTTP at all is answered in the envelope."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from telefonista.dialect.envelope import envelope
from telefonista.dialect.errors import Motivo
from telefonista.dialect.guard import CORS


class HttpProtocol(HttpToolsProtocol):
    """uvicorn 0.54 answers a request its parser refuses in plain text, before any application sees it."""

    def send_400_response(self, msg: str) -> None:
        mensagem = "a requisição não é HTTP válido: confira o endereço (codifique acentos e espaços) e os cabeçalhos"
        response = envelope(400, Motivo.CORPO, mensagem, headers={**CORS, "Connection": "close"})
        headers = [*self.server_state.default_headers, *response.raw_headers]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[400] + lines + b"\r\n" + bytes(response.body))
        self.transport.close()
