"""/healthz, /readyz and /metrics: for machines that look after us.

They need no token: TELEFONISTA_HOST is loopback by default, and whoever opens it to others decides what of these
a proxy in front lets through.
"""

import asyncio
import time

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telefonista.calling.house import Casa
from telefonista.dialect.envelope import documented, envelope, ok

router = APIRouter(tags=["operação"])

REQUESTS = Counter("telefonista_http_total", "HTTP requests", ["method", "status"])
SECONDS = Histogram("telefonista_http_segundos", "HTTP answer time", ["method"])
RECONNECTS = Gauge("telefonista_motor_reconexoes", "Connections to the engine lost since we started")
ENGINE_UP = Gauge("telefonista_motor_pronto", "1 while calls can be made")

_DATABASE_SECONDS = 2.0


@router.get("/healthz", summary="O processo responde", responses=documented(None))
async def healthz() -> Response:
    return ok(None, "telefonista está de pé")


@router.get("/readyz", summary="Pronto para chamadas", responses=documented(None))
async def readyz(casa: Casa) -> Response:
    """Só é 200 enquanto o motor envia eventos, o banco de dados responde e o servidor não está encerrando."""
    problems = [] if casa.engine.alive() else ["motor sem eventos"]
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            await casa.storage.read(_ask)
    except Exception:
        problems.append("banco de dados não responde")
    if casa.runner.draining:
        problems.append("encerrando")
    if problems:
        return envelope(503, 50, ", ".join(problems))
    return ok(None, "pronto para chamadas")


def _ask(session: Session) -> None:
    session.execute(text("SELECT 1"))


@router.get("/metrics", summary="Métricas (Prometheus)", include_in_schema=False)
async def metrics(casa: Casa) -> Response:
    RECONNECTS.set(casa.engine.reconnects)
    ENGINE_UP.set(casa.engine.alive())
    return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Metered:
    """Counts every HTTP answer; pure ASGI, outermost but for the guard."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "OPTIONS") else "OTHER"
            REQUESTS.labels(method, str(status)).inc()
            SECONDS.labels(method).observe(time.perf_counter() - began)
