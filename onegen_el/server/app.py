"""The web application around one linker: `POST /nif` for GERBIL, `GET /` and `GET /health` for people.

Knows HTTP and in which order a request is worked off; the Turtle is `nif`'s, the linking the linker's.
One worker thread does all linking: tokenizers of Hugging Face may not be used by two threads at once, and two
texts at once would only share the same cores or the same device. Requests wait in a queue, without a time
limit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from onegen_el import __version__
from onegen_el.document import LinkedDocument, Mention
from onegen_el.errors import InputError, OnegenError
from onegen_el.server.nif import BAD_REQUEST, WRONG_TYPE, NifError, Span, answer, parse_request
from onegen_el.unicode import visible

if TYPE_CHECKING:
    from onegen_el.linker import EntityLinker

log = logging.getLogger(__name__)

TOO_LARGE, BROKEN = 413, 500


class Linker(Protocol):
    """What is asked of an `EntityLinker`."""

    def annotate(
        self, documents: Iterable[tuple[str, str]], batch_size: int | None = None
    ) -> Iterator[LinkedDocument]: ...

    def link(self, text: str, mentions: Sequence[Span], id: str = "") -> LinkedDocument: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer in Turtle and what is in it; `unreadable` given spans became NIL without being linked."""

    body: bytes
    documents: int
    mentions: int
    unreadable: int


def describe(linker: EntityLinker) -> dict[str, Any]:
    """What `GET /` tells about a linker."""
    return {
        "name": "onegen-el",
        "version": __version__,
        "model": linker.backbone.name,
        "kb": {"entities": len(linker.kb), "source": linker.kb.manifest.source},
        "min_score": linker.min_score,
        "post": "NIF in Turtle to /nif",
    }


def create_app(linker: Linker, about: Mapping[str, Any], max_bytes: int) -> Starlette:
    """The application; bodies above `max_bytes` get 413, requests that cannot be meant 400 or 415.

    Every error is told in a line of text; each request is logged in one line.
    """
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="linker")

    async def link(request: Request) -> Response:
        started = time.perf_counter()
        try:
            body = await _body(request, max_bytes)
            work = partial(respond, linker, body, request.headers.get("content-type"))
            answered = await asyncio.get_running_loop().run_in_executor(worker, work)
        except NifError as error:
            response = _refusal(str(error), error.status)
        except OnegenError as error:
            response = _refusal(str(error), BROKEN)
        except ClientDisconnect:
            response = _refusal("the client went away", BAD_REQUEST)
        except Exception as error:
            log.exception("an error of the service")
            response = _refusal(f"an error of the service, see its log: {type(error).__name__}", BROKEN)
        else:
            response = Response(answered.body, media_type=_media_type(request))
            log.info(
                "documents: %d, mentions: %d%s, %.0f ms",
                answered.documents,
                answered.mentions,
                f" ({answered.unreadable} unreadable)" if answered.unreadable else "",
                1000 * (time.perf_counter() - started),
            )
        return response

    async def root(_: Request) -> Response:
        return JSONResponse(dict(about))

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        Route("/", root),
        Route("/health", health),
        Route("/nif", link, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _not_here})


def respond(linker: Linker, body: bytes, content_type: str | None) -> Answered:
    """Reads a request, links its documents and writes the answer.

    Raises NifError for a request that cannot be meant, other OnegenErrors where the linker fails.
    """
    request = parse_request(body, content_type)
    plain = [(str(number), each.text) for number, each in enumerate(request.documents) if not each.spans]
    found = linker.annotate(plain)
    linked = []
    unreadable = 0
    for document in request.documents:
        if document.spans:
            with_nils, lost = link_given(linker, document.text, document.spans)
            linked.append(with_nils)
            unreadable += lost
        else:
            linked.append(next(found))
    mentions = sum(len(document.mentions) for document in linked)
    return Answered(answer(request, linked), len(linked), mentions, unreadable)


def link_given(linker: Linker, text: str, spans: Sequence[Span]) -> tuple[LinkedDocument, int]:
    """All spans linked; how many of them the model cannot read (see EntityLinker.link), which are NIL."""
    try:
        return linker.link(text, spans), 0
    except InputError:
        unreadable = set(_unreadable(linker, text, spans))
    linked = linker.link(text, [span for span in spans if span not in unreadable])
    nils = [Mention(start, end, text[start:end]) for start, end in unreadable]
    mentions = sorted((*linked.mentions, *nils), key=lambda mention: (mention.start, mention.end))
    return LinkedDocument(linked.id, text, tuple(mentions)), len(nils)


def _unreadable(linker: Linker, text: str, spans: Sequence[Span]) -> list[Span]:
    """Of spans that cannot be linked together, those that cannot be linked, found by halving."""
    if len(spans) == 1:
        return list(spans)
    found = []
    for half in (spans[: len(spans) // 2], spans[len(spans) // 2 :]):
        try:
            linker.link(text, half)
        except InputError:
            found += _unreadable(linker, text, half)
    return found


async def _body(request: Request, max_bytes: int) -> bytes:
    """The body, read no further than `max_bytes`; raises NifError for a larger or a compressed one."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise NifError(f"content encoding {encoding!r} is not read; send the text as it is", WRONG_TYPE)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise NifError(
                f"the request has more than {max_bytes:,} bytes; send fewer documents, or start the service "
                "with a larger --max-bytes",
                TOO_LARGE,
            )
    return bytes(body)


def _media_type(request: Request) -> str:
    # GERBIL accepts the older name only, though it reads whatever comes.
    older = "application/x-turtle" in request.headers.get("accept", "")
    return "application/x-turtle; charset=utf-8" if older else "text/turtle; charset=utf-8"


def _refusal(reason: str, status: int) -> Response:
    # One line, and nothing that a terminal would obey: it quotes the request.
    line = " ".join(visible(reason).split())
    log.info("%d: %s", status, line)
    return PlainTextResponse(line + "\n", status)


async def _not_here(request: Request, error: Exception) -> Response:
    status, headers = BROKEN, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    reason = f"{request.method} {visible(request.url.path)}: there is POST /nif, GET / and GET /health"
    return PlainTextResponse(f"{reason}\n", status, headers)
