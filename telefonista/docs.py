"""/docs: the API's page for people; the browser draws it from /openapi.json alone, also without the internet."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).with_name("static") / "docs.html"
_OWN_ONLY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


@router.get("/docs")
async def page() -> Response:
    return FileResponse(
        _PAGE, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": f"{_OWN_ONLY}; img-src data:"}
    )
