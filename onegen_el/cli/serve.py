"""`onegen-el serve`: a linker that other programs ask over HTTP, for now GERBIL and who speaks as it does.

Knows options, sockets and what is told to the person who starts it; the service is `onegen_el.server`.
"""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import suppress
from typing import Annotated

import typer

from onegen_el.errors import InputError, OnegenError

EVERYWHERE = {"0.0.0.0", "::"}
# GERBIL keeps connections, and may be busy with other things between two documents.
KEEP_ALIVE_SECONDS = 600


def serve(
    nif: Annotated[bool, typer.Option("--nif", help="Speak NIF, as GERBIL does, at /nif.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub id; the bundled one if left out.")
    ] = None,
    kb: Annotated[
        str | None, typer.Option(help="Knowledge base folder or hub id; the bundled one if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    min_score: Annotated[
        float | None, typer.Option(help="Do not link below this score; the model's own if left out.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What is marked: one of the model's policies (`onegen-el info`); else its default."
        ),
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Longer requests are refused.")] = 10_000_000,
) -> None:
    """Answer requests over HTTP until it is interrupted."""
    if not nif:
        raise typer.BadParameter("say what is to be spoken; there is --nif", param_hint="--nif")
    try:
        import pyoxigraph  # noqa: F401
        import uvicorn

        from onegen_el.server.app import create_app, describe
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("pyoxigraph", "uvicorn", "starlette"):
            raise
        raise OnegenError(
            f"the service needs the package {error.name}; pip install 'onegen-el[server]'"
        ) from error
    import onegen_el

    # The port is taken before the model is loaded: one in use is told at once.
    with _listen(host, port) as listening:
        linker = onegen_el.load(model, kb, device, min_score=min_score, policy=policy)
        url = _url(host, listening.getsockname()[1])
        typer.echo(f"Listening on {url}/nif (Ctrl-C ends it).")
        typer.echo(f"GERBIL: experiment A2KB or D2KB, add an annotator of any name with the URI {url}/nif")
        sys.stdout.flush()
        _log_to_stderr()
        config = uvicorn.Config(
            create_app(linker, describe(linker), max_bytes),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"cannot listen on {host}, port {port} ({reason}); choose another --host or --port"
        ) from error


def _url(host: str, port: int) -> str:
    name = socket.gethostname() if host in EVERYWHERE else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _log_to_stderr() -> None:
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("onegen_el.server").setLevel(logging.INFO)
