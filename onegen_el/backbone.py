"""A causal language model with marks: hidden states, mark logits, query and entity vectors, load and save.

Knows Hugging Face models and their cache; works on token ids and masks only. Any causal LM will do whose
forward takes `position_ids` and a 4-D attention mask (Llama, Qwen, Mistral, BERT as decoder, ...). Where it
has an adapter, `adapter` knows how that is stored and where the rows of the marks are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache

from onegen_el import adapter as adapters
from onegen_el.errors import ModelError
from onegen_el.grammar import SOURCE, Grammar, MarkIds, token_type
from onegen_el.manifest import ModelManifest, write_manifest
from onegen_el.model_files import fingerprint, read_projection, write_projection
from onegen_el.pretrained import Quantise, load_pretrained, load_tokenizer, quietly
from onegen_el.resources import resolve
from onegen_el.tokens import SourceTokenizer

if TYPE_CHECKING:
    from peft import PeftModel

ENTITY_TOKENS = 64  # entity texts are cut to this many tokens
# Tokens of entity texts embedded at once: on a CPU as many as its caches hold, which was the fastest.
CPU_BATCH, DEVICE_BATCH = 1024, 32768


class Backbone(nn.Module):
    """The language model, its tokenizer, the marks' ids and the optional projection of `[RET]` states.

    `lm` is the Hugging Face model itself; an `adapter` on it has changed its layers in place.
    """

    def __init__(
        self,
        lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        manifest: ModelManifest,
        projection: nn.Linear | None = None,
        adapter: PeftModel | None = None,
    ) -> None:
        super().__init__()
        self.lm = lm
        # In a list: as a submodule it would count every parameter of `lm` twice.
        self._adapter = [adapter]
        self.trained: Tensor  # ids of the tokens whose rows the adapter has
        self.register_buffer("trained", torch.tensor(adapters.trained_tokens(lm)).long(), persistent=False)
        # transformers has renamed the argument: before 5.40 both names will do, after it only the new one.
        renamed = "cache" in signature(lm.base_model.forward).parameters
        self._cache = "cache" if renamed else "past_key_values"
        self.projection = projection
        self.tokenizer = tokenizer
        self.manifest = manifest
        self.marks = mark_ids(manifest.grammar, tokenizer)
        self.tokenize = SourceTokenizer(tokenizer)

    @property
    def adapter(self) -> PeftModel | None:
        """The adapter on `lm`, None for a whole model."""
        return self._adapter[0]

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

    def tag(self, policy: str | None) -> tuple[int, ...]:
        """Token ids that tell a marking policy; raises ModelError for one the model does not know."""
        text = self.grammar.tag_text(policy)
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()

    @property
    def aligned(self) -> bool:
        return self.grammar.positions == "aligned"

    @property
    def device(self) -> torch.device:
        return self.lm.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the states; an adapter's own weights may be of a larger one."""
        dtype: torch.dtype = adapters.base_layer(self.lm.get_input_embeddings()).weight.dtype
        return dtype

    def hidden(
        self, ids: Tensor, positions: Tensor, types: Tensor, mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        """Last hidden states `[batch, tokens, width]`.

        `ids`, `positions`, `types` are `[batch, tokens]`; `mask` is boolean `[batch, tokens, keys]`, True
        where a key is visible; with a `cache`, keys are the cached tokens followed by these.
        """
        bias = torch.zeros(mask.shape, dtype=self.dtype, device=mask.device)
        bias.masked_fill_(~mask, torch.finfo(self.dtype).min)
        inputs: dict[str, Any] = {"token_type_ids": types} if self.grammar.token_types == "casing" else {}
        if self.adapter is None:
            inputs["input_ids"] = ids
        else:
            inputs["inputs_embeds"] = adapters.embedded(self.lm.get_input_embeddings(), ids, self.trained)
        if cache is not None:
            inputs[self._cache] = cache
        output = self.lm.base_model(
            position_ids=positions,
            attention_mask=bias[:, None],
            use_cache=cache is not None,
            **inputs,
        )
        states: Tensor = output.last_hidden_state
        return states

    def logits_of(self, states: Tensor, tokens: Tensor) -> Tensor:
        """Next-token logits of a few `tokens` `[n, choices]` at `states` `[n, width]` -> `[n, choices]`."""
        layer = self.lm.get_output_embeddings()
        head = adapters.base_layer(layer)
        rows = (
            head.weight[tokens] if self.adapter is None else adapters.head_rows(layer, tokens, self.trained)
        )
        logits = torch.einsum("nw,ncw->nc", self._before_head(states), rows)
        return logits if head.bias is None else logits + head.bias[tokens]

    def vocabulary_logits(self, states: Tensor) -> Tensor:
        """Next-token logits `[n, vocabulary]`; the full softmax of ordinary language modelling."""
        head, states = self.lm.get_output_embeddings(), self._before_head(states)
        if self.adapter is not None:
            return adapters.head_logits(head, states, self.trained)
        logits: Tensor = head(states)
        return logits

    def _before_head(self, states: Tensor) -> Tensor:
        # Masked-LM heads have a transform between the last layer and the output embeddings.
        predictions = getattr(getattr(self.lm, "cls", None), "predictions", None)
        return predictions.transform(states) if predictions is not None else states

    def vectors(self, states: Tensor) -> Tensor:
        """Unit vectors `[n, dims]` (over the feature axis) of query or entity states `[n, width]`."""
        projected = states
        if self.projection is not None:
            # The projection beside an adapter is float32, whatever the base's type.
            projected = self.projection(states.to(self.projection.weight.dtype))
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
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        longest = int(lengths.max())
        filled = np.arange(longest) < lengths[:, None]
        padded = np.zeros(filled.shape, np.int64)
        padded[filled] = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        ids, seen = torch.from_numpy(padded).to(self.device), torch.from_numpy(filled).to(self.device)
        positions = torch.arange(longest, device=self.device).expand(len(rows), -1)
        types = torch.full_like(ids, token_type(0, SOURCE))
        mask = seen[:, None, :].expand(-1, longest, -1)
        if self.grammar.attention == "causal":
            mask = mask & torch.ones(longest, longest, dtype=torch.bool, device=self.device).tril()
        last = seen.sum(1) - 1
        return self.hidden(ids, positions, types, mask)[torch.arange(len(rows), device=self.device), last]

    def embed_entities(
        self, texts: Sequence[str], batch_tokens: int | None = None, dtype: torch.dtype | None = None
    ) -> np.ndarray:
        """Entity vectors float32 `[n, dims]`, unit norm, in the order of `texts`; see `embed_rows`.

        Layers compute in `dtype` (autocast) whatever the weights are; None leaves that as it is.
        """
        # Around all batches, since autocast keeps the weights it has cast until it ends.
        same = dtype is None or dtype == self.dtype
        with nullcontext() if same else torch.autocast(self.device.type, dtype):
            return self.embed_rows(self.entity_ids(texts), batch_tokens)

    @torch.inference_mode()
    def embed_rows(self, rows: Sequence[Sequence[int]], batch_tokens: int | None = None) -> np.ndarray:
        """Entity vectors float32 `[n, dims]` of rows of `entity_ids`.

        Texts of about one length are batched, up to `batch_tokens`, padding included; None suits the device.
        """
        batch_tokens = batch_tokens or (CPU_BATCH if self.device.type == "cpu" else DEVICE_BATCH)
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

    def save(
        self,
        folder: str | Path,
        dtype: torch.dtype | None = None,
        state: Mapping[str, Tensor] | None = None,
    ) -> ModelManifest:
        """Writes a hub-shaped folder and returns its manifest with the fingerprint of what was written.

        A model with an adapter is written as that adapter, without its base. `dtype` None is float16 for a
        whole model and float32 for an adapter. `state` are weights to write instead of the live ones, under
        the names of `state_dict()`.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        dtype = dtype or (torch.float16 if self.adapter is None else torch.float32)
        state = self.state_dict() if state is None else state
        weights = {name.removeprefix("lm."): row for name, row in state.items() if name.startswith("lm.")}
        if self.adapter is None:
            self._save_lm(folder, dtype, weights)
        else:
            adapters.save_adapter(self.adapter, folder, dtype, weights)
        self.tokenizer.save_pretrained(folder)
        if self.projection is not None:
            write_projection(folder, state["projection.weight"], dtype)
        manifest = replace(self.manifest, fingerprint=fingerprint(folder, self.manifest))
        write_manifest(folder, manifest)
        self.manifest = manifest
        return manifest

    def _save_lm(self, folder: Path, dtype: torch.dtype, weights: Mapping[str, Tensor]) -> None:
        # An adapter that was here before would be taken for what the folder holds.
        for stale in (adapters.CONFIG_FILE, adapters.WEIGHTS_FILE):
            (folder / stale).unlink(missing_ok=True)
        # Tied tensors are cast once, so that they stay tied and are stored once.
        cast: dict[int, Tensor] = {}
        stored = {
            name: cast.setdefault(tensor.data_ptr(), tensor.to(dtype)) for name, tensor in weights.items()
        }
        self.lm.config.dtype = dtype
        with quietly():
            self.lm.save_pretrained(folder, state_dict=stored)

    def load_weights(self, folder: str | Path) -> None:
        """Puts weights that `save` wrote into this live model, to the bit where they were saved as float32.

        Raises ModelError where the folder holds another kind of model, or one of another shape.
        """
        folder = Path(folder)
        if adapters.is_adapter(folder) != (self.adapter is not None):
            kind = "a whole model" if self.adapter is not None else "an adapter"
            raise ModelError(f"{folder}: holds {kind}, which this model is not")
        if self.adapter is None:
            try:
                self.load_state_dict(load_backbone(folder, device="cpu").state_dict())
            except RuntimeError as error:
                raise ModelError(f"{folder}: the weights do not fit this model ({error})") from error
            return
        adapters.load_adapter_weights(self.adapter, folder)
        if self.projection is not None:
            self.projection.load_state_dict({"weight": read_projection(folder)})


def load_backbone(
    name: str | Path | None = None,
    device: str | torch.device = "auto",
    dtype: torch.dtype | None = None,
    base: str | Path | None = None,
    quantise: Quantise = "",
) -> Backbone:
    """Loads a model folder or hub id ready for use; None is the bundled model.

    `dtype` defaults to float32 on CPU and to the stored type elsewhere. An adapter is put on its base, which
    `base` or the variable ONEGEN_EL_BASE gives (a folder, hub id, or "bundled") where it is no longer what
    the adapter names; `dtype` is then that of the base. `quantise="4bit"` holds the weights in NF4, which
    needs a GPU and bitsandbytes. Raises ModelError.
    """
    folder = resolve(name, "model")
    manifest = ModelManifest.read(folder)
    target = pick_device(device)
    if dtype is None and target.type == "cpu":
        dtype = torch.float32
    tokenizer = load_tokenizer(folder)
    adapter = None
    if adapters.is_adapter(folder):
        lm = adapters.load_base(folder, len(tokenizer), manifest, dtype, base, quantise, target)
        adapter = adapters.load_adapter(lm, folder)
    else:
        lm = load_pretrained(folder, dtype, quantise, target)
    projection = None
    if manifest.projected:
        weight = read_projection(folder)
        weight = weight.to(lm.dtype if adapter is None else torch.float32)
        projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
        projection.weight = nn.Parameter(weight)
    return Backbone(lm, tokenizer, manifest, projection, adapter).to(target).eval()


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


def pick_device(device: str | torch.device) -> torch.device:
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
