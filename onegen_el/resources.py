"""Finds a model or knowledge base: a local folder, what is bundled with the package, or a hub id.

The one place that turns what a user typed after `--model` or `--kb` into a local folder.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

from onegen_el.errors import KBError, ModelError, OnegenError

BUNDLED = Path(__file__).parent / "bundled"
MANIFESTS = {"model": "onegen_el.json", "kb": "kb.json"}
VARIABLES = {"model": "ONEGEN_EL_MODEL", "kb": "ONEGEN_EL_KB"}
MAKERS = {"model": "onegen-el train", "kb": "onegen-el kb build"}
TARGETS = {"model": "make model", "kb": "make kb-bundled"}
CACHE_VARIABLE, DATA_VARIABLE = "ONEGEN_EL_CACHE", "ONEGEN_EL_DATA"
FULL = "full"  # `--kb full`: the knowledge base of all our entities, which `make kb-full` builds
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", re.ASCII)
# Only data files: a hub repository can never bring code or pickles along.
FETCHED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.sqlite", "*.npy", "*.usearch")

Kind = Literal["model", "kb"]


def cache_folder(part: str) -> Path:
    """Folder `part` of $ONEGEN_EL_CACHE, else of `onegen-el` in the platform's cache: it may be deleted."""
    return _own_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", "~/.cache", "~/Library/Caches") / part


def full_kb() -> Path:
    """Where `--kb full` is looked for: $ONEGEN_EL_DATA, else `onegen-el` in the platform's data folder."""
    mac = "~/Library/Application Support"
    return _own_folder(DATA_VARIABLE, "XDG_DATA_HOME", "~/.local/share", mac) / "kb-full"


def _own_folder(variable: str, xdg: str, linux: str, mac: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        base = mac if sys.platform == "darwin" else os.environ.get(xdg) or linux
    return Path(base).expanduser() / "onegen-el"


def resolve(name: str | Path | None, kind: Kind) -> Path:
    """Local folder of a model or knowledge base.

    `name` is a folder, "full" for the knowledge base that `make kb-full` built, a hub id
    `owner/name[@revision]` (downloaded once into the Hugging Face cache), or None: the folder or id in
    ONEGEN_EL_MODEL / ONEGEN_EL_KB, else what is bundled with the package.
    A folder wins over a hub id of the same name. Raises ModelError or KBError saying what was looked for
    and where.
    """
    error: type[OnegenError] = ModelError if kind == "model" else KBError
    hint = f"give a folder made by `{MAKERS[kind]}`, a hub id owner/name, or leave --{kind} out"
    if not name and (name := os.environ.get(VARIABLES[kind])):
        hint = f"the name comes from the variable {VARIABLES[kind]}: set it to another, or unset it"
    if not name:
        name = BUNDLED / kind
        hint = f"it should have come with the package: install it again, or `{TARGETS[kind]}` in a checkout"
    folder = Path(name).expanduser()
    if kind == "kb" and name == FULL and not folder.exists():
        folder = full_kb()
        hint = "build it with `make kb-full` in a checkout, or give its folder"
    if isinstance(name, str) and not folder.exists() and HUB_ID.fullmatch(name):
        return _download(name, kind, error)
    if not folder.exists():
        raise error(f"{folder}: no such {kind} folder; {hint}")
    if not folder.is_dir():
        raise error(f"{folder}: is a file; a {kind} is a folder with {MANIFESTS[kind]} in it; {hint}")
    if not (folder / MANIFESTS[kind]).is_file():
        raise error(f"{folder}: not a onegen-el {kind} folder, {MANIFESTS[kind]} is missing; {hint}")
    return folder


def _download(name: str, kind: Kind, error: type[OnegenError]) -> Path:
    """Folder in the Hugging Face cache with the hub repository `name`, fetched unless it is there."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The hub client lets its transport's errors through; httpx or httpx2, it is the first base of its own.
    transport: type[Exception] = HfHubHTTPError.__bases__[0]
    repository, _, revision = name.partition("@")
    hub = constants.ENDPOINT
    missing = f"{name}: there is no such folder here"
    try:
        snapshot = snapshot_download(repository, revision=revision or None, allow_patterns=list(FETCHED))
    except HFValidationError as cause:
        raise error(f"{missing}, and it cannot be a hub id; check the spelling") from cause
    except GatedRepoError as cause:
        raise error(
            f"{name}: access must be granted; ask for it on {hub}/{repository}, then run `hf auth login`"
        ) from cause
    except RepositoryNotFoundError as cause:
        raise error(
            f"{missing}, and no such repository on {hub}; check the spelling, "
            "or run `hf auth login` if it is a private one"
        ) from cause
    except RevisionNotFoundError as cause:
        raise error(
            f"{name}: the repository has no revision {revision!r}; see {hub}/{repository}/tree/main"
        ) from cause
    except LocalEntryNotFoundError as cause:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "it did not answer as a hub does"
        raise error(
            f"{missing}, and {hub} cannot be asked for it ({why}); check the name or the connection"
        ) from cause
    except (transport, OSError) as cause:
        raise error(f"{name}: cannot be fetched from {hub} ({cause}); try again") from cause
    if not (Path(snapshot) / MANIFESTS[kind]).is_file():
        raise error(f"{name}: {hub}/{repository} is not a onegen-el {kind}, it has no {MANIFESTS[kind]}")
    return Path(snapshot)
