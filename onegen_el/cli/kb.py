"""`onegen-el kb`: the commands about knowledge bases, one line each; they live in the modules beside."""

from __future__ import annotations

import typer

from onegen_el.cli.kb_build import build
from onegen_el.cli.kb_dumps import dump_entities
from onegen_el.cli.kb_edit import add, compact, remove, update
from onegen_el.cli.kb_import import import_onegen
from onegen_el.cli.kb_look import export, info, show
from onegen_el.cli.kb_search import search
from onegen_el.cli.kb_verify import verify

kb_app = typer.Typer(no_args_is_help=True, help="Build, edit and inspect knowledge bases.")
kb_app.command()(build)
kb_app.command()(dump_entities)
kb_app.command()(add)
kb_app.command()(update)
kb_app.command()(remove)
kb_app.command()(compact)
kb_app.command()(info)
kb_app.command()(search)
kb_app.command()(show)
kb_app.command()(verify)
kb_app.command()(export)
kb_app.command("import-onegen")(import_onegen)
