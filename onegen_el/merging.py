"""An adapter and its base made one whole model.

Knows the folders; how weights are merged is `adapter`'s and how they are stored `backbone`'s.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from onegen_el import adapter as adapters
from onegen_el.backbone import Backbone, load_backbone
from onegen_el.errors import ModelError
from onegen_el.manifest import ModelManifest, write_manifest
from onegen_el.resources import resolve


def merge_adapter(
    folder: str | Path,
    out: str | Path,
    dtype: torch.dtype = torch.float16,
    base: str | Path | None = None,
) -> ModelManifest:
    """Writes the adapter of `folder` (or hub id) and its base as one model folder `out`, in `dtype`.

    The fingerprint stays that of the adapter: the weights mean the same, so a knowledge base that was built
    with the adapter serves the merged model as well. The folder appears when it is whole. Raises ModelError
    if `folder` is no adapter, its base is not found, or `out` has something in it.
    """
    source, out = resolve(folder, "model"), Path(out)
    if not adapters.is_adapter(source):
        raise ModelError(f"{source}: is a whole model, there is nothing to merge")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ModelError(f"{out}: is not an empty folder; choose another with -o, or delete it")
    part = out.with_name(out.name + ".part")
    if part.exists():
        raise ModelError(f"{part}: left by a merge that was stopped; delete it")
    backbone = load_backbone(source, device="cpu", dtype=torch.float32, base=base)
    assert backbone.adapter is not None
    lm = adapters.merge(backbone.adapter)
    manifest = replace(backbone.manifest, base_fingerprint="")
    whole = Backbone(lm, backbone.tokenizer, manifest, backbone.projection)
    part.mkdir(parents=True)
    try:
        whole.save(part, dtype)
        write_manifest(part, manifest)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest
