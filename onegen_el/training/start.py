"""The model a run begins with: a pretrained one that gets its marks, or one of ours that is trained on.

Knows how marks, casing types and projection are added to a Hugging Face model; does not train.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertLMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from onegen_el.backbone import Backbone, load_backbone
from onegen_el.errors import ModelError, RecipeError
from onegen_el.manifest import ModelManifest
from onegen_el.resources import MANIFESTS
from onegen_el.training.recipe import Recipe

MARK_MEANINGS = {
    "<MENTION>": "start of the mention of an entity",
    "</MENTION>": "end of the mention of an entity",
    "[RET]": "retrieve the entity that is meant",
}


def starting_point(recipe: Recipe) -> Backbone:
    """The model a run begins with, float32 on the CPU: one of ours is trained on, a pretrained one gets its
    marks. Raises RecipeError, also where a model of ours has another grammar or vectors of another size."""
    manifest = ModelManifest(
        name=recipe.name,
        grammar=recipe.grammar,
        windows=recipe.windows,
        dims=recipe.dims,
        projected=recipe.dims > 0,
        training={"base": Path(recipe.base).name, "corpora": [c.path for c in recipe.data.corpora]},
    )
    ours = (Path(recipe.base) / MANIFESTS["model"]).is_file()
    backbone = _train_on(recipe, manifest) if ours else _pretrained(recipe, manifest)
    # Sequential positions: the copy follows what is shown, and its marks take room as well.
    tokens = recipe.windows.longest * (1 if backbone.aligned else 3)
    tokens += len(backbone.marks.prefix) + max(1, len(backbone.marks.suffix))
    room = backbone.lm.config.max_position_embeddings
    if tokens > room:
        raise RecipeError(
            f"windows need {tokens} positions, the base has {room}; "
            "make windows.own, before, after or head smaller"
        )
    return backbone


def _train_on(recipe: Recipe, manifest: ModelManifest) -> Backbone:
    backbone = load_backbone(recipe.base, device="cpu", dtype=torch.float32)
    old = backbone.manifest
    if manifest.grammar != old.grammar:
        raise RecipeError(f"grammar differs from that of the base, the trained model {recipe.base!r}")
    if (manifest.dims, manifest.projected) != (old.dims if old.projected else 0, old.projected):
        raise RecipeError(
            f"dims differs from that of the base, the trained model {recipe.base!r}: "
            f"set dims = {old.dims if old.projected else 0}"
        )
    backbone.manifest = replace(manifest, dims=old.dims)
    return backbone


def _pretrained(recipe: Recipe, manifest: ModelManifest) -> Backbone:
    try:
        config = AutoConfig.from_pretrained(recipe.base)
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if hasattr(config, name):
                setattr(config, name, recipe.optimiser.attention_dropout)
        base = (
            as_decoder(recipe.base, config)
            if config.model_type == "bert"
            else AutoModelForCausalLM.from_pretrained(recipe.base, config=config, dtype=torch.float32)
        )
        tokenizer = AutoTokenizer.from_pretrained(recipe.base)
    except (OSError, ValueError) as error:
        raise RecipeError(f"base {recipe.base!r} cannot be loaded: {error}") from error
    return new_backbone(base, tokenizer, manifest)


def new_backbone(
    lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, manifest: ModelManifest
) -> Backbone:
    """Adds marks and projection to a pretrained model and its tokenizer; training starts from here.

    The rows of new tokens start as the mean embedding of a description of the token.
    """
    known = set(tokenizer.get_vocab())
    added = [mark for mark in manifest.grammar.new_tokens if mark not in known]
    tokenizer.add_tokens(added, special_tokens=True)
    # Some vocabularies are padded with reserved rows (Llama 3, Qwen): then there is nothing to resize.
    if len(tokenizer) > len(_matrix(lm.get_input_embeddings())):
        lm.resize_token_embeddings(len(tokenizer), mean_resizing=False)
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


def as_decoder(folder: str | Path, config: PretrainedConfig, token_types: int = 6) -> PreTrainedModel:
    """A BERT-like encoder as causal LM: tied LM head with a near-identity transform, casing token types.

    The head's transform is newly made (an encoder for sentence vectors has none), so it starts as the
    identity; token types start as copies of type 0.
    """
    if config.model_type != "bert":
        raise ModelError(
            f"{folder}: is a {config.model_type} model; only BERT encoders are turned into decoders"
        )
    config.is_decoder = True
    config.tie_word_embeddings = True
    config.architectures = ["BertLMHeadModel"]
    # The report that the head's weights are new would alarm: they are set below.
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        lm = BertLMHeadModel.from_pretrained(folder, config=config, dtype=torch.float32)
    finally:
        transformers_logging.set_verbosity(verbosity)
    with torch.no_grad():
        transform = lm.cls.predictions.transform
        transform.dense.weight.copy_(torch.eye(config.hidden_size))
        transform.dense.bias.zero_()
        transform.LayerNorm.weight.fill_(0.25)  # keeps the first logits soft
        transform.LayerNorm.bias.zero_()
        lm.cls.predictions.bias.zero_()
        old = lm.bert.embeddings.token_type_embeddings.weight
        new = nn.Embedding(token_types, config.hidden_size)
        new.weight.copy_(old[:1].expand(token_types, -1))
        lm.bert.embeddings.token_type_embeddings = new
    lm.config.type_vocab_size = token_types
    return lm
