"""/healthz, /readyz and /metrics: for machines that look after us."""

import time

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telefonista.calling.house import Casa
from telefonista.dialect.envelope import envelope, ok

router = APIRouter(tags=["operação"])

REQUESTS = Counter("telefonista_http_total", "HTTP requests", ["method", "status"])
SECONDS = Histogram("telefonista_http_segundos", "HTTP answer time", ["method"])


@router.get("/healthz", summary="O processo responde")
async def healthz() -> Response:
    return ok(None, "telefonista está de pé")


@router.get("/readyz", summary="Pronto para chamadas")
async def readyz(casa: Casa) -> Response:
    """True only while the event stream is alive and the database answers."""
    problems = [] if casa.engine.alive() else ["motor sem eventos"]
    try:
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
async def metrics() -> Response:
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
