"""Low-rank adapters: put on a model, saved, loaded with their base, merged; token rows that are trained.

Knows peft and the adapter's folder; knows nothing of marks, linking or training. peft is imported where it
is used, so that whole models do without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from onegen_el import resources
from onegen_el.errors import ModelError
from onegen_el.manifest import ModelManifest
from onegen_el.pretrained import Quantise, embedding_weight, load_pretrained, make_room

if TYPE_CHECKING:
    from peft import PeftModel

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
VARIABLE = "ONEGEN_EL_BASE"
BUNDLED = "bundled"  # as a base's name: the model that comes with the package
NAME = "default"  # peft's name of the one adapter a model has
ALL_LINEAR = "all-linear"
OWN_WEIGHTS = (".lora_A.", ".lora_B.", ".trainable_tokens_delta.")  # in the names of an adapter's parameters
# What makes a pretrained model another one; values that versions of transformers add or rename are left out.
SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


def is_adapter(folder: str | Path) -> bool:
    """Whether a model folder holds an adapter and not a whole model."""
    return (Path(folder) / CONFIG_FILE).is_file()


def add_lora(
    lm: PreTrainedModel,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str],
    token_ids: Sequence[int],
    *,
    type_ids: Sequence[int] = (),
    base: str = "",
) -> PeftModel:
    """Puts a LoRA (arXiv 2106.09685) on the layers of `lm`, in place, and freezes everything else.

    `targets` are names of layers, or "all-linear": every linear layer but the output head. The rows
    `token_ids` of the embeddings, and of the output embeddings where they are not tied, are trained, and
    the rows `type_ids` of the token type embeddings. `base` is the name under which the model is found
    again. Raises ModelError where no layer has such a name.
    """
    peft = _peft()
    inputs, head = lm.get_input_embeddings(), lm.get_output_embeddings()
    names = {module: name for name, module in lm.named_modules()}
    rows = {names[inputs]: list(token_ids)}
    if head.weight is not inputs.weight:
        rows[names[head]] = list(token_ids)
    if type_ids:
        table = next(m for m, name in names.items() if name.endswith("token_type_embeddings"))
        rows[names[table]] = list(type_ids)
    for target in targets:
        if any(f".{names[layer]}".endswith(f".{target}") for layer in (inputs, head)):
            raise ModelError(
                f"{target}: the rows of the marks are trained there; leave it out of the targets"
            )
    config = peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        r=rank,
        # Whole numbers stay whole in the file, as peft's own examples have them.
        lora_alpha=int(alpha) if float(alpha).is_integer() else alpha,
        lora_dropout=dropout,
        target_modules=ALL_LINEAR if ALL_LINEAR in targets else list(targets),
        trainable_token_indices=rows,
    )
    try:
        adapter = _put_on(lm, config)
    except ValueError as error:
        raise ModelError(f"the adapter cannot be put on {', '.join(targets)} ({error})") from error
    adapter.peft_config[NAME].base_model_name_or_path = base
    return adapter


def differences(
    adapter: PeftModel, rank: int, alpha: float, dropout: float, targets: Sequence[str]
) -> list[str]:
    """Which of the arguments of `add_lora` were others when this adapter was made."""
    config: Any = adapter.peft_config[NAME]
    linear = {
        name.removesuffix(".base_layer")
        for name, module in adapter.get_base_model().named_modules()
        if isinstance(module, nn.Linear) and ".lora_" not in name and ".token_adapter" not in name
    }
    adapted = {name for name, module in adapter.get_base_model().named_modules() if hasattr(module, "lora_A")}
    wanted = {
        name
        for name in linear
        if ALL_LINEAR in targets or any(f".{name}".endswith(f".{target}") for target in targets)
    }
    same = {
        "rank": config.r == rank,
        "alpha": config.lora_alpha == alpha,
        "dropout": config.lora_dropout == dropout,
        "targets": adapted == wanted,
    }
    return [name for name, agrees in same.items() if not agrees]


def save_adapter(
    adapter: PeftModel, folder: Path, dtype: torch.dtype, state: Mapping[str, Tensor] | None = None
) -> None:
    """Writes weights and configuration of the adapter as peft names them, and nothing of the base.

    `state` are weights to store instead of the live ones, under the names of the model without adapter's
    wrapper (`lm.state_dict()`).
    """
    from peft import get_peft_model_state_dict

    prefixed = None if state is None else {f"base_model.model.{name}": row for name, row in state.items()}
    weights = get_peft_model_state_dict(adapter, state_dict=prefixed, save_embedding_layers=False)
    stored = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    save_file(stored, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    row = adapter.peft_config[NAME].to_dict() | {"inference_mode": True}
    # Sets have no order: sorted, the same adapter is the same bytes.
    row = {name: sorted(value) if isinstance(value, set) else value for name, value in row.items()}
    (folder / CONFIG_FILE).write_text(json.dumps(row, indent=1, sort_keys=True) + "\n", "utf-8")


def load_adapter(lm: PreTrainedModel, folder: str | Path, trainable: bool = False) -> PeftModel:
    """Puts the adapter of a folder on the layers of `lm`, in place; its own weights are float32.

    `trainable` lets it, and nothing else, have gradients. Raises ModelError where it does not fit.
    """
    folder = Path(folder)
    peft = _peft()
    with _fitting(folder):
        config = peft.LoraConfig.from_pretrained(str(folder))
        base, config.base_model_name_or_path = config.base_model_name_or_path, None
        config.inference_mode = not trainable
        adapter = _put_on(lm, config)
    adapter.peft_config[NAME].base_model_name_or_path = base
    load_adapter_weights(adapter, folder)
    return adapter


def load_adapter_weights(adapter: PeftModel, folder: Path) -> None:
    """Puts the weights that `save_adapter` wrote into a live adapter of the same shape, exactly.

    Raises ModelError where a weight is missing or has another shape.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    stored = _weights(folder)
    live = get_peft_model_state_dict(adapter, save_embedding_layers=False)
    odd = sorted(
        {name for name in stored.keys() & live.keys() if stored[name].shape != live[name].shape}
        | (stored.keys() ^ live.keys())
    )
    if odd:
        raise ModelError(
            f"{folder}: the adapter does not fit this model, {len(odd)} weights are missing on one side or "
            f"have another shape, first {odd[0]}; give the base it was trained on ({_how_to_give()})"
        )
    with _fitting(folder):
        set_peft_model_state_dict(adapter, stored)


def load_base(
    folder: Path,
    tokens: int,
    manifest: ModelManifest,
    dtype: torch.dtype | None,
    base: str | Path | None = None,
    quantise: Quantise = "",
    device: torch.device | None = None,
) -> PreTrainedModel:
    """The base model of the adapter in `folder`, with a row for each of the `tokens` of its tokenizer.

    The base is `base`, else what the variable ONEGEN_EL_BASE names, else what the adapter's configuration
    names: a folder, seen from the adapter's or from here, a hub id, or "bundled". Raises ModelError where
    it is not found or is another model than the one that the adapter was trained on.
    """
    named = base or os.environ.get(VARIABLE)
    found = _find(folder, str(named or base_name(folder)), bool(named))
    of_ours = bool(manifest.base_fingerprint) and not manifest.base_fingerprint.startswith("config:")
    try:
        if of_ours:
            found = resources.resolve(found, "model")
        lm = load_pretrained(found, dtype, quantise, device)
    except ModelError as error:
        raise ModelError(
            f"{folder}: the adapter's base {found} cannot be loaded; {_how_to_give()} ({error})"
        ) from error
    wrong = f"{folder}: {found} is not the base that the adapter was trained on"
    vocabulary, width = embedding_weight(lm).shape
    inputs = next(name for name, module in lm.named_modules() if module is lm.get_input_embeddings())
    trained = _config(folder).get("trainable_token_indices", {}).get(inputs)
    delta = _weights(folder).get(f"base_model.model.{inputs}.token_adapter.trainable_tokens_delta")
    if trained is None or delta is None:
        raise ModelError(f"{wrong}, it has embeddings of another name; {_how_to_give()}")
    if delta.shape[1] != width:
        raise ModelError(
            f"{wrong}: its hidden size is {width}, the adapter's {delta.shape[1]}; {_how_to_give()}"
        )
    if set(range(vocabulary, tokens)) - set(trained) or max(trained) >= max(vocabulary, tokens):
        raise ModelError(
            f"{wrong}: its vocabulary has {vocabulary} tokens, the adapter's {tokens}; {_how_to_give()}"
        )
    if manifest.base_fingerprint not in ("", base_fingerprint(found, lm.config)):
        raise ModelError(f"{wrong}; {_how_to_give()}")
    make_room(lm, tokens)
    return lm


def base_name(folder: Path) -> str:
    """Name of the base as the adapter's configuration gives it."""
    return str(_config(folder).get("base_model_name_or_path") or "")


def base_fingerprint(base: str | Path, config: PretrainedConfig) -> str:
    """Identity of a base: a model of ours has its own, of a pretrained one it is made of its configuration.

    To be taken before tokens are added.
    """
    if (Path(base) / resources.MANIFESTS["model"]).is_file():
        return ModelManifest.read(Path(base)).fingerprint
    shape = {name: getattr(config, name, None) for name in SHAPE}
    return "config:" + hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def merge(adapter: PeftModel) -> PreTrainedModel:
    """The model with the adapter's changes in its own weights; the adapter is gone from it."""
    lm: PreTrainedModel = adapter.merge_and_unload()
    lm.tie_weights()
    return lm


def base_layer(layer: nn.Module) -> Any:
    """An embedding or output layer without the wrapper that an adapter puts around it."""
    wrapper = getattr(layer, "token_adapter", None)
    return layer if wrapper is None else wrapper.base_layer


def trained_tokens(lm: PreTrainedModel) -> list[int]:
    """Ids of the tokens whose rows an adapter has trained, in the order of the rows; none without adapter."""
    wrapper = getattr(lm.get_input_embeddings(), "token_adapter", None)
    return [] if wrapper is None else list(wrapper.token_indices[NAME])


def embedded(layer: nn.Module, ids: Tensor, trained: Tensor) -> Tensor:
    """Embeddings `[..., width]` of `ids` `[...]`; `trained` `[k]` are the ids of `trained_tokens`.

    peft's own way writes the trained rows into a copy of the whole matrix, in every forward pass.
    """
    base = base_layer(layer)
    scale = getattr(base, "embed_scale", None)  # Gemma 3 has it in the embedding layer
    rows = _rows(layer)
    return _replaced(base(ids), rows if scale is None else rows * scale, ids, trained)


def head_rows(layer: nn.Module, ids: Tensor, trained: Tensor) -> Tensor:
    """Rows `[..., width]` of the output embeddings."""
    return _replaced(base_layer(layer).weight[ids], _rows(layer), ids, trained)


def head_logits(layer: nn.Module, states: Tensor, trained: Tensor) -> Tensor:
    """Logits `[n, vocabulary]` of `states` `[n, width]`, the output layer's bias included."""
    base = base_layer(layer)
    logits: Tensor = base(states)
    own = nn.functional.linear(states, _rows(layer).to(states.dtype))
    if base.bias is not None:
        own = own + base.bias[trained]
    return logits.index_copy_(1, trained, own.to(logits.dtype))


def _rows(layer: nn.Module) -> Tensor:
    rows: Tensor = layer.token_adapter.trainable_tokens_delta[NAME]  # type: ignore[union-attr, index]
    return rows


def _replaced(values: Tensor, rows: Tensor, ids: Tensor, trained: Tensor) -> Tensor:
    """`values` `[..., width]` of `ids` with those of the `trained` ids taken from `rows` `[k, width]`."""
    hits = ids[..., None] == trained
    picked = nn.functional.embedding(hits.int().argmax(-1), rows)
    return torch.where(hits.any(-1, keepdim=True), picked.to(values.dtype), values)


def _put_on(lm: PreTrainedModel, config: Any) -> PeftModel:
    from peft import get_peft_model

    with warnings.catch_warnings():
        # peft asks transformers for an attribute under its old name; that is no news to a user.
        warnings.simplefilter("ignore", FutureWarning)
        adapter: PeftModel = get_peft_model(lm, config)
    return adapter


def _find(folder: Path, name: str, given: bool) -> str | Path:
    """Folder or hub id of a base; a `given` name is not looked for beside the adapter."""
    if name == BUNDLED:
        return resources.BUNDLED / "model"
    places = [Path(name).expanduser()] if given else [folder / name, Path(name).expanduser()]
    for place in places:
        if name and is_adapter(place):
            raise ModelError(f"{folder}: its base {place} is an adapter itself; {_how_to_give()}")
        if name and (place / "config.json").is_file():
            return place
    if resources.HUB_ID.fullmatch(name):
        return name
    raise ModelError(f"{folder}: the adapter's base {name!r} is no folder and no hub id; {_how_to_give()}")


def _how_to_give() -> str:
    return f"set {VARIABLE} to its folder or hub id, or give it as load_backbone(..., base=...)"


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        row = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    if not isinstance(row, dict):
        raise ModelError(f"{path}: not an adapter's configuration; fetch it again")
    return row


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); fetch it again") from error


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"{folder}: the adapter cannot be put on its base ({error}); {_how_to_give()}"
        ) from error


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ModelError("adapters need peft; pip install 'onegen-el[train]'") from error
    return peft
