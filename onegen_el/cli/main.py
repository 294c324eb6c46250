"""The `onegen-el` program: its commands, its version, and how errors meant for users are told.

A new command is one line below. The modules of commands import nothing heavy, so that help is quick.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from onegen_el import __version__
from onegen_el.cli.bench import bench
from onegen_el.cli.calibrate import calibrate
from onegen_el.cli.console import say_error
from onegen_el.cli.corpora import corpora_app
from onegen_el.cli.eval import eval_app
from onegen_el.cli.info import info
from onegen_el.cli.kb import kb_app
from onegen_el.cli.link import link
from onegen_el.cli.serve import serve
from onegen_el.cli.train import train_app
from onegen_el.errors import OnegenError

USER_ERROR = 2


class Program(TyperGroup):
    """Tells an OnegenError in one line; with ONEGEN_EL_DEBUG set, as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OnegenError as error:
            if os.environ.get("ONEGEN_EL_DEBUG"):
                raise
            say_error(str(error))
            raise typer.Exit(USER_ERROR) from error


app = typer.Typer(cls=Program, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(link)
app.add_typer(kb_app, name="kb")
app.add_typer(eval_app, name="eval")
app.add_typer(corpora_app, name="corpora")
app.add_typer(train_app, name="train")
app.command()(calibrate)
app.command()(serve)
app.command()(bench)
app.command()(info)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"onegen-el {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Find the entities in a text and link them to a knowledge base."""


def main() -> None:
    """Entry point of `onegen-el`."""
    app(prog_name="onegen-el")
