"""The model a run begins with: a pretrained one that gets its marks, or one of ours that is trained on.

Knows how marks, projection and adapter are added to a Hugging Face model; does not train.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from onegen_el import adapter as adapters
from onegen_el import resources
from onegen_el.backbone import Backbone, load_backbone
from onegen_el.errors import ModelError, RecipeError
from onegen_el.manifest import Calibration, ModelManifest
from onegen_el.pretrained import is_encoder, load_config, load_pretrained, load_tokenizer, make_room
from onegen_el.training.recipe import Recipe
from onegen_el.training.replacement import ROOM
from onegen_el.windows import WindowSettings

NEW_DIMS = 128  # size of a new projection's vectors where the recipe leaves it open
MARK_MEANINGS = {
    "<MENTION>": "start of the mention of an entity",
    "</MENTION>": "end of the mention of an entity",
    "[RET]": "retrieve the entity that is meant",
}


def starting_point(recipe: Recipe) -> Backbone:
    """The model a run begins with: one of ours is trained on, a pretrained one gets its marks.

    It is float32 on the CPU and all of it has gradients. With `recipe.lora.rank` only an adapter, the rows
    of the marks and the projection have; the base is bfloat16 if `optimiser.bf16` and an accelerator is
    there, or in 4 bits on the GPU if `lora.quantise`. Raises RecipeError, also where a model of ours has
    another grammar, vectors of another size or another adapter.
    """
    base = base_of(recipe)
    try:
        old = ModelManifest.read(Path(base)) if is_ours(base) else None
        manifest = manifest_of(recipe, old)
        backbone = _train_on(recipe, base, manifest, old) if old else _pretrained(recipe, base, manifest)
    except ModelError as error:
        raise RecipeError(f"base {recipe.base!r} cannot be trained on: {error}") from error
    # Sequential positions: the copy follows what is shown, and its marks take room as well.
    tokens = backbone.manifest.windows.longest * (1 if backbone.aligned else 3)
    tokens += len(backbone.marks.prefix) + max(1, len(backbone.marks.suffix))
    tokens += max((len(backbone.tag(policy)) for policy in backbone.grammar.policies), default=0)
    tokens += ROOM if recipe.data.replaced else 0
    room = backbone.lm.config.max_position_embeddings
    if tokens > room:
        raise RecipeError(
            f"windows need {tokens} positions, the base has {room}; "
            "make windows.own, before, after or head smaller"
        )
    return backbone


def is_ours(base: str) -> bool:
    """Whether a folder holds a model or an adapter that `onegen-el train` made."""
    return (Path(base) / resources.MANIFESTS["model"]).is_file()


def manifest_of(recipe: Recipe, old: ModelManifest | None) -> ModelManifest:
    """What the recipe chooses; what it leaves open is as in `old`, the model of ours that is trained on."""
    own = old or ModelManifest("", dims=NEW_DIMS, projected=True, windows=WindowSettings(head=0))
    dims = (own.dims if own.projected else 0) if recipe.dims is None else recipe.dims
    return ModelManifest(
        name=recipe.name,
        grammar=recipe.grammar or own.grammar,
        windows=recipe.windows or own.windows,
        dims=dims,
        projected=dims > 0,
        training={"base": Path(recipe.base).name, "corpora": [c.path for c in recipe.data.corpora]},
    )


def base_of(recipe: Recipe) -> str:
    """Folder or hub id of the base; raises RecipeError if it is the bundled model and there is none."""
    if recipe.base != adapters.BUNDLED:
        return recipe.base
    try:
        return str(resources.resolve(None, "model"))
    except ModelError as error:
        raise RecipeError(f"base {recipe.base!r}: {error}") from error


def _base_dtype(recipe: Recipe) -> torch.dtype:
    half = recipe.lora.rank and recipe.optimiser.bf16 and torch.accelerator.is_available()
    return torch.bfloat16 if half else torch.float32


def _base_device(recipe: Recipe) -> torch.device:
    # Weights in 4 bits are made on the GPU: that of this process where there are several.
    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if recipe.lora.quantise else "cpu")


def _train_on(recipe: Recipe, base: str, manifest: ModelManifest, old: ModelManifest) -> Backbone:
    lora = recipe.lora
    if not lora.rank and adapters.is_adapter(base):
        raise RecipeError(
            f"base {recipe.base!r} is an adapter: set lora.rank to go on with it, or make it a whole model "
            "with `onegen-el train merge`"
        )
    if replace(manifest.grammar, policies=old.grammar.policies) != old.grammar:
        raise RecipeError(f"grammar differs from that of the base, the trained model {recipe.base!r}")
    if (manifest.dims, manifest.projected) != (old.dims if old.projected else 0, old.projected):
        raise RecipeError(
            f"dims differs from that of the base, the trained model {recipe.base!r}: "
            f"set dims = {old.dims if old.projected else 0}"
        )
    backbone = load_backbone(
        base, device=_base_device(recipe), dtype=_base_dtype(recipe), quantise=lora.quantise
    )
    stored = recipe.objective.stored
    backbone.manifest = replace(
        manifest,
        dims=old.dims,
        calibration=old.calibration if stored else Calibration(),
        entity_fingerprint=old.serves if stored else "",
        entities_kept=recipe.objective.entities == "kept" and old.builds,
        base_fingerprint=old.base_fingerprint,
    )
    if backbone.adapter is not None:
        other = adapters.differences(backbone.adapter, lora.rank, lora.alpha, lora.dropout, lora.targets)
        if other:
            raise RecipeError(
                f"base {recipe.base!r} is an adapter with another lora.{', lora.'.join(other)}; give it the "
                "same, or make it a whole model with `onegen-el train merge` and put a new adapter on that"
            )
        return _only_adapter(backbone)
    return with_lora(recipe, backbone, base, old.fingerprint) if lora.rank else backbone


def _pretrained(recipe: Recipe, base: str, manifest: ModelManifest) -> Backbone:
    lora = recipe.lora
    lm = load_pretrained(
        base,
        _base_dtype(recipe),
        lora.quantise,
        _base_device(recipe),
        attention_dropout=recipe.optimiser.attention_dropout,
    )
    tokenizer = load_tokenizer(base)
    fingerprint = adapters.base_fingerprint(base, lm.config)
    backbone = new_backbone(lm, tokenizer, manifest)
    if not lora.rank:
        return backbone
    # Casing types of what was an encoder are all alike at first; if they are not trained they say nothing.
    types = is_encoder(load_config(base)) and manifest.grammar.token_types == "casing"
    return with_lora(recipe, backbone, base, fingerprint, lm.config.type_vocab_size if types else 0)


def with_lora(recipe: Recipe, whole: Backbone, base: str, fingerprint: str, types: int = 0) -> Backbone:
    """The same model with a new adapter on it; `types` token types are trained with the marks' rows."""
    lora, lm = recipe.lora, whole.lm
    if lora.quantise:
        from peft import prepare_model_for_kbit_training

        lm = prepare_model_for_kbit_training(lm, use_gradient_checkpointing=False)
    known = whole.tokenizer.get_vocab()
    # The bundled model is found again wherever the package is, a folder of this machine only here.
    bundled = Path(base) == resources.BUNDLED / "model"
    adapter = adapters.add_lora(
        lm,
        lora.rank,
        lora.alpha,
        lora.dropout,
        lora.targets,
        [known[mark] for mark in whole.grammar.new_tokens if mark in known],
        type_ids=range(types),
        base=adapters.BUNDLED if bundled else base,
    )
    manifest = replace(whole.manifest, base_fingerprint=fingerprint)
    return _only_adapter(Backbone(lm, whole.tokenizer, manifest, whole.projection, adapter))


def _only_adapter(backbone: Backbone) -> Backbone:
    """Gradients for the adapter's weights and the projection, in float32, and for nothing else."""
    own = adapters.OWN_WEIGHTS
    for name, weight in backbone.named_parameters():
        weight.requires_grad_(name.startswith("projection.") or any(part in name for part in own))
    if backbone.projection is not None:
        backbone.projection.float()
    return backbone


def new_backbone(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, manifest: ModelManifest
) -> Backbone:
    """Adds marks and projection to a pretrained model and its tokenizer; training starts from here.

    The rows of new tokens start as the mean embedding of a description of the token.
    """
    known = set(tokenizer.get_vocab())
    added = [mark for mark in manifest.grammar.new_tokens if mark not in known]
    tokenizer.add_tokens(added, special_tokens=True)
    make_room(lm, len(tokenizer))
    with torch.no_grad():
        for matrix in {_matrix(lm.get_input_embeddings()), _matrix(lm.get_output_embeddings())}:
            for mark in added:
                meaning = tokenizer(MARK_MEANINGS.get(mark, mark.strip("[]<>/")), add_special_tokens=False)
                matrix[tokenizer.convert_tokens_to_ids(mark)] = matrix[meaning["input_ids"]].mean(0)
    width = lm.config.hidden_size
    projection = None
    if manifest.dims and manifest.projected:
        projection = nn.Linear(width, manifest.dims, bias=False)
        nn.init.orthogonal_(projection.weight)
    elif manifest.dims not in (0, width):
        raise ModelError(f"dims={manifest.dims} needs a projection: the model's hidden size is {width}")
    return Backbone(lm, tokenizer, replace(manifest, dims=manifest.dims or width), projection)


def _matrix(layer: nn.Module) -> nn.Parameter:
    """Weights `[vocabulary, width]` of an embedding or output layer."""
    assert isinstance(layer.weight, nn.Parameter)
    return layer.weight
