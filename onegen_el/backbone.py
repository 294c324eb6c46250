"""A causal language model with marks: hidden states, mark logits, query and entity vectors, load and save.

Knows Hugging Face models and their cache; works on token ids and masks only. Any causal LM will do whose
forward takes `position_ids` and a 4-D attention mask (Llama, Qwen, Mistral, BERT as decoder, ...).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import Cache
from transformers.utils import logging as transformers_logging

from onegen_el.errors import ModelError
from onegen_el.grammar import SOURCE, Grammar, MarkIds, token_type
from onegen_el.manifest import ModelManifest, write_manifest
from onegen_el.resources import resolve
from onegen_el.tokens import SourceTokenizer

PROJECTION_FILE = "projection.safetensors"
ENTITY_TOKENS = 64  # entity texts are cut to this many tokens


class Backbone(nn.Module):
    """The language model, its tokenizer, the marks' ids and the optional projection of `[RET]` states."""

    def __init__(
        self,
        lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        manifest: ModelManifest,
        projection: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.lm = lm
        self.projection = projection
        self.tokenizer = tokenizer
        self.manifest = manifest
        self.marks = mark_ids(manifest.grammar, tokenizer)
        self.tokenize = SourceTokenizer(tokenizer)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def fingerprint(self) -> str:
        """Identifies the weights; a knowledge base remembers the fingerprint it was built with."""
        return self.manifest.fingerprint

    @property
    def grammar(self) -> Grammar:
        return self.manifest.grammar

    @property
    def dims(self) -> int:
        return self.manifest.dims

    @property
    def aligned(self) -> bool:
        return self.grammar.positions == "aligned"

    @property
    def device(self) -> torch.device:
        return self.lm.device

    @property
    def dtype(self) -> torch.dtype:
        return self.lm.dtype

    def hidden(
        self, ids: Tensor, positions: Tensor, types: Tensor, mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        """Last hidden states `[batch, tokens, width]`.

        `ids`, `positions`, `types` are `[batch, tokens]`; `mask` is boolean `[batch, tokens, keys]`, True
        where a key is visible; with a `cache`, keys are the cached tokens followed by these.
        """
        bias = torch.zeros(mask.shape, dtype=self.dtype, device=mask.device)
        bias.masked_fill_(~mask, torch.finfo(self.dtype).min)
        inputs = {"token_type_ids": types} if self.grammar.token_types == "casing" else {}
        output = self.lm.base_model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=bias[:, None],
            past_key_values=cache,
            use_cache=cache is not None,
            **inputs,
        )
        states: Tensor = output.last_hidden_state
        return states

    def logits_of(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Next-token logits of a few `tokens` `[n, choices]` at `states` `[n, width]` -> `[n, choices]`."""
        head = self.lm.get_output_embeddings()
        logits = torch.einsum("nw,ncw->nc", self._before_head(states), head.weight[tokens])
        return logits if head.bias is None else logits + head.bias[tokens]

    def vocabulary_logits(self, states: Tensor) -> Tensor:
        """Next-token logits `[n, vocabulary]`; the full softmax of ordinary language modelling."""
        logits: Tensor = self.lm.get_output_embeddings()(self._before_head(states))
        return logits

    def _before_head(self, states: Tensor) -> Tensor:
        # Masked-LM heads have a transform between the last layer and the output embeddings.
        predictions = getattr(getattr(self.lm, "cls", None), "predictions", None)
        return predictions.transform(states) if predictions is not None else states

    def vectors(self, states: Tensor) -> Tensor:
        """Unit vectors `[n, dims]` (over the feature axis) of query or entity states `[n, width]`."""
        projected = states if self.projection is None else self.projection(states)
        return nn.functional.normalize(projected.float(), dim=-1)

    def entity_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of entity texts, each ending with the entity token; cut to ENTITY_TOKENS."""
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            truncation=False,
            verbose=False,
        )["input_ids"]
        room = ENTITY_TOKENS - len(self.marks.prefix) - 1
        return [[*self.marks.prefix, *ids[:room], self.marks.entity] for ids in encoded]

    def entity_states(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Hidden states `[n, width]` of the entity token of each row of `entity_ids`."""
        longest = max(len(row) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        seen = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.as_tensor(row)
            seen[index, : len(row)] = True
        ids, seen = ids.to(self.device), seen.to(self.device)
        positions = torch.arange(longest, device=self.device).expand(len(rows), -1)
        types = torch.full_like(ids, token_type(0, SOURCE))
        mask = seen[:, None, :].expand(-1, longest, -1)
        if self.grammar.attention == "causal":
            mask = mask & torch.ones(longest, longest, dtype=torch.bool, device=self.device).tril()
        last = seen.sum(1) - 1
        return self.hidden(ids, positions, types, mask)[torch.arange(len(rows), device=self.device), last]

    @torch.inference_mode()
    def embed_entities(self, texts: Sequence[str], batch_tokens: int = 4096) -> np.ndarray:
        """Entity vectors float32 `[n, dims]`, unit norm, in the order of `texts`."""
        rows = self.entity_ids(texts)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        vectors = np.empty((len(rows), self.dims), dtype=np.float32)
        start = 0
        while start < len(order):
            # Rows come sorted, so the longest of a batch is its last: grow while the padded batch fits.
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= batch_tokens:
                end += 1
            batch = order[start:end]
            vectors[batch] = self.vectors(self.entity_states([rows[index] for index in batch])).cpu().numpy()
            start = end
        return vectors

    def save(self, folder: str | Path, dtype: torch.dtype = torch.float16) -> ModelManifest:
        """Writes a hub-shaped folder and returns its manifest with the fingerprint of what was written."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Tied tensors are cast once, so that they stay tied and are stored once.
        cast: dict[int, Tensor] = {}
        weights = {
            name: cast.setdefault(tensor.data_ptr(), tensor.to(dtype))
            for name, tensor in self.lm.state_dict().items()
        }
        self.lm.config.dtype = dtype
        with _without_progress():
            self.lm.save_pretrained(folder, state_dict=weights)
        self.tokenizer.save_pretrained(folder)
        if self.projection is not None:
            save_file(
                {"weight": self.projection.weight.detach().to(dtype).contiguous()}, folder / PROJECTION_FILE
            )
        manifest = replace(self.manifest, fingerprint=_fingerprint(folder, self.grammar))
        write_manifest(folder, manifest)
        self.manifest = manifest
        return manifest


def load_backbone(
    name: str | Path | None = None, device: str = "auto", dtype: torch.dtype | None = None
) -> Backbone:
    """Loads a model folder or hub id ready for use; None is the bundled model.

    `dtype` defaults to float32 on CPU and to the stored type elsewhere. Raises ModelError.
    """
    folder = resolve(name, "model")
    manifest = ModelManifest.read(folder)
    target = pick_device(device)
    if dtype is None and target.type == "cpu":
        dtype = torch.float32
    try:
        with _without_progress():
            lm = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the model cannot be loaded ({error})") from error
    projection = None
    if manifest.projected:
        path = folder / PROJECTION_FILE
        if not path.is_file():
            raise ModelError(
                f"{path}: missing, though the manifest says vectors are projected; fetch it again"
            )
        weight = load_file(path)["weight"]
        projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=lm.dtype)
        projection.weight = nn.Parameter(weight.to(lm.dtype))
    backbone = Backbone(lm, tokenizer, manifest, projection)
    return backbone.to(target).eval()


def mark_ids(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> MarkIds:
    """The grammar in this tokenizer's ids; raises ModelError if the query is not a single token."""

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    query, entity = ids(grammar.query), ids(grammar.entity_token)
    if len(query) != 1 or len(entity) != 1:
        raise ModelError(
            f"{grammar.query} and {grammar.entity_token} must each be one token of the model; train with "
            "`onegen-el train`, which adds them"
        )
    return MarkIds(
        open=ids(grammar.open),
        close=ids(grammar.close),
        query=query[0],
        follow_up=ids(grammar.follow_up),
        entity=entity[0],
        prefix=ids(grammar.prompt_prefix),
        suffix=ids(grammar.prompt_suffix),
    )


def pick_device(device: str) -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; raises ModelError for a device that is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {device!r} is not available here ({error}); use --device cpu") from error
    return picked


@contextmanager
def _without_progress() -> Iterator[None]:
    """Loading and saving take a blink; transformers' bars for them would only disturb the terminal."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _fingerprint(folder: Path, grammar: Grammar) -> str:
    digest = hashlib.sha256(json.dumps(grammar.to_dict(), sort_keys=True).encode())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.name.encode())
        with path.open("rb") as weights:
            while block := weights.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
