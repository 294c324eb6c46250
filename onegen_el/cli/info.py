"""`onegen-el info`: what is installed and what `link` uses by default.

Knows packages and folders; opens neither model nor knowledge base.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import typer

from onegen_el import __version__
from onegen_el.errors import OnegenError

PACKAGES = ("torch", "transformers", "spacy", "usearch")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def info() -> None:
    """Versions, the default model and knowledge base with their sizes, and the device."""
    rows = [("onegen-el", __version__), ("python", platform.python_version())]
    rows += [(package, _version(package)) for package in PACKAGES]
    rows += [("model", _location("model")), ("policies", _policies()), ("kb", _location("kb"))]
    rows.append(("device", _device()))
    for name, value in rows:
        typer.echo(f"{name:<14}{value}")


def _location(kind: Literal["model", "kb"]) -> str:
    from onegen_el.resources import resolve

    try:
        folder = resolve(None, kind)
    except OnegenError as error:
        return f"none: {error}"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{folder} ({size / 1e6:.1f} MB)"


def _policies() -> str:
    """Marking policies of the default model, the default one first."""
    from onegen_el.grammar import DEFAULT_POLICY
    from onegen_el.manifest import ModelManifest
    from onegen_el.resources import resolve

    try:
        manifest = ModelManifest.read(resolve(None, "model"))
    except OnegenError as error:
        return f"none: {error}"
    return ", ".join((DEFAULT_POLICY, *manifest.grammar.policies))


def _device() -> str:
    from onegen_el.backbone import pick_device

    return str(pick_device("auto"))
