"""Sound files as customers have them, and a web server on loopback that gives them out."""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import av
import numpy as np
from aiohttp import web

FORMATS = {"mp3": "libmp3lame", "wav": "pcm_s16le", "ogg": "libopus"}


def encoded(samples: np.ndarray, kind: str, *, rate: int = 8000, stereo: bool = False) -> bytes:
    """Mono int16 samples at `rate` as a file; with `stereo` the same on both sides."""
    file = io.BytesIO()
    layout = "stereo" if stereo else "mono"
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(FORMATS[kind], rate=rate)
        stream.layout = layout
        resampler = av.AudioResampler(stream.format, layout, rate)
        interleaved = np.repeat(samples, 2 if stereo else 1).reshape(1, -1)
        whole = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        whole.rate = rate
        fifo = av.AudioFifo()
        for frame in resampler.resample(whole):
            fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        while (frame := fifo.read(size, partial=True)) is not None:
            frame.pts = None
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def tone(hertz: float, seconds: float, *, rate: int = 8000, level: float = -20.0) -> np.ndarray:
    """A sine; `level` is its peak in dB below full scale."""
    amplitude = 32767 * 10 ** (level / 20)
    return np.round(amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


@dataclass
class Page:
    """What a path answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FileServer:
    """`async with FileServer() as files`; `files.pages["/a.mp3"] = Page(...)`. An ETag in a page is honoured."""

    host: str = "127.0.0.1"
    pages: dict[str, Page] = field(default_factory=dict)
    hits: Counter[tuple[str, int]] = field(default_factory=Counter)  # (path, status answered)
    port: int = 0

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def put(self, path: str, body: bytes, **headers: str) -> str:
        """A file there; its URL."""
        self.pages[path] = Page(body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return self.url(path)

    def redirect(self, path: str, to: str) -> str:
        self.pages[path] = Page(status=302, headers={"Location": to})
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        page = self.pages.get(request.path, Page(b"nothing here", 404))
        known = request.headers.get("If-None-Match")
        if known is not None and known == page.headers.get("ETag"):
            self.hits[request.path, 304] += 1
            return web.Response(status=304)
        self.hits[request.path, page.status] += 1
        return web.Response(body=page.body, status=page.status, headers=page.headers)
