"""A whole file from a customer's URL, redirects followed and checked one by one; for whoever plays what they name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from telefonista.net.guarded import Answer, BadUrl, Guarded, Unreachable, parse

MOST_REDIRECTS = 3

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NotFetched(Exception):
    """There is no file to be had; the text says why, in Portuguese."""


@dataclass(frozen=True)
class Fetched:
    """A file, and the headers that ask for it only if it changed. `content` None: it did not."""

    content: bytes | None
    validators: Mapping[str, str]


async def fetch(
    http: Guarded, url: str, *, most: int, seconds: float, validators: Mapping[str, str] | None = None
) -> Fetched:
    """GET a file of up to `most` bytes within `seconds`, redirects included. Raises NotFetched.

    `validators`: those of what is at hand already. Every address on the way is checked as the first one is.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _fetch(http, url, most, seconds, dict(validators or {}))
    except TimeoutError:
        raise NotFetched(f"o endereço não entregou o arquivo em {seconds:g} s") from None
    except Unreachable as problem:
        raise NotFetched(f"o endereço não pôde ser lido: {problem}") from None
    except BadUrl as problem:
        raise NotFetched(str(problem)) from None


async def _fetch(http: Guarded, url: str, most: int, seconds: float, headers: Mapping[str, str]) -> Fetched:
    at = parse(url)
    for _ in range(MOST_REDIRECTS + 1):
        answer = await http.request("GET", str(at), headers=headers, most=most, seconds=seconds)
        if answer.status not in _REDIRECTS:
            return _file(answer, most, headers)
        try:
            at = at.join(URL(answer.headers.get("Location", "")))
        except ValueError:
            raise NotFetched("o endereço redireciona para onde não se entende") from None
    raise NotFetched(f"o endereço redireciona mais de {MOST_REDIRECTS} vezes: informe o endereço final")


def _file(answer: Answer, most: int, asked: Mapping[str, str]) -> Fetched:
    if answer.status == 304 and asked:
        return Fetched(None, asked)
    if answer.status != 200:
        raise NotFetched(f"o endereço respondeu HTTP {answer.status}: confira se o arquivo está lá, aberto a todos")
    if not answer.whole:
        raise NotFetched(f"o arquivo tem mais de {most >> 20} MB: envie um menor")
    validators = {}
    for ours, theirs in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
        if value := answer.headers.get(theirs):
            validators[ours] = value
    return Fetched(answer.body, validators)
