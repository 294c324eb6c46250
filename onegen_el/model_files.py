"""The files of a model folder that are ours beside the manifest: projection and fingerprint.

Knows names and bytes; what a whole model or an adapter is made of, transformers and `adapter` know.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from onegen_el.adapter import WEIGHTS_FILE, base_name, is_adapter
from onegen_el.errors import ModelError
from onegen_el.manifest import ModelManifest

PROJECTION_FILE = "projection.safetensors"


def write_projection(folder: Path, weight: Tensor, dtype: torch.dtype) -> None:
    """Stores the projection's weight `[dims, width]`."""
    save_file({"weight": weight.detach().to("cpu", dtype).contiguous()}, folder / PROJECTION_FILE)


def read_projection(folder: Path) -> Tensor:
    """The projection's weight `[dims, width]` in its stored type; raises ModelError where it is missing."""
    path = folder / PROJECTION_FILE
    if not path.is_file():
        raise ModelError(f"{path}: missing, though the manifest says vectors are projected; fetch it again")
    try:
        return load_file(path)["weight"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read ({error!r}); fetch it again") from error


def fingerprint(folder: Path, manifest: ModelManifest) -> str:
    """SHA-256 of grammar and stored weights; of an adapter also of the base it belongs to."""
    digest = hashlib.sha256(json.dumps(manifest.grammar.to_dict(), sort_keys=True).encode())
    files = sorted(folder.glob("*.safetensors"))
    if is_adapter(folder):
        digest.update(f"{base_name(folder)}\n{manifest.base_fingerprint}".encode())
        files = [path for path in files if path.name in (WEIGHTS_FILE, PROJECTION_FILE)]
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as weights:
            while block := weights.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
