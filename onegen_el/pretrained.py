"""Pretrained language models as they come: loaded, encoders turned into decoders, rows for new tokens.

Knows Hugging Face folders, hub ids and quantised weights; knows nothing of marks, adapters or training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertLMHeadModel,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from onegen_el.errors import ModelError

Quantise = Literal["", "4bit"]


def load_pretrained(
    name: str | Path,
    dtype: torch.dtype | None,
    quantise: Quantise = "",
    device: torch.device | None = None,
    attention_dropout: float | None = None,
) -> PreTrainedModel:
    """The causal model of a folder or hub id `owner/name[@revision]`; a BERT encoder becomes a decoder.

    `dtype` None keeps the stored type; `quantise="4bit"` stores linear layers in NF4 on `device`, a GPU.
    Weights are read from safetensors only. Raises ModelError.
    """
    config = load_config(name)
    repository, revision = _hub_name(name)
    loading: dict[str, Any] = {"config": config, "revision": revision, "use_safetensors": True}
    try:
        for field in ("attention_dropout", "attention_probs_dropout_prob"):
            if attention_dropout is not None and hasattr(config, field):
                setattr(config, field, attention_dropout)
        if quantise:
            loading |= {"quantization_config": _nf4(), "device_map": {"": device}}
        with quietly():
            if is_encoder(config):
                if quantise:
                    raise ModelError(f"{name}: BERT encoders are not quantised; leave quantise empty")
                return as_decoder(repository, dtype=dtype, **loading)
            lm: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                repository, dtype=dtype or "auto", **loading
            )
            return lm
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: the model cannot be loaded ({error})") from error


def load_config(name: str | Path) -> PretrainedConfig:
    """The configuration of a folder or hub id `owner/name[@revision]`; raises ModelError."""
    repository, revision = _hub_name(name)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(repository, revision=revision)
        return config
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: the model cannot be loaded ({error})") from error


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id `owner/name[@revision]`; raises ModelError."""
    repository, revision = _hub_name(name)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(repository, revision=revision)
        return tokenizer
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: the tokenizer cannot be loaded ({error})") from error


def is_encoder(config: PretrainedConfig) -> bool:
    """Whether `load_pretrained` has to turn the model into a decoder first."""
    return config.model_type == "bert" and not config.is_decoder


def as_decoder(
    folder: str | Path,
    config: PretrainedConfig,
    dtype: torch.dtype | None = None,
    token_types: int = 6,
    **loading: Any,
) -> PreTrainedModel:
    """A BERT encoder as causal LM: tied LM head with a near-identity transform, casing token types.

    The head's transform is newly made (an encoder for sentence vectors has none), so it starts as the
    identity; token types start as copies of type 0. Nothing in it is random.
    """
    config.is_decoder = True
    config.tie_word_embeddings = True
    config.architectures = ["BertLMHeadModel"]
    # The report that the head's weights are new would alarm: they are set below.
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        lm = BertLMHeadModel.from_pretrained(folder, config=config, dtype=dtype or "auto", **loading)
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
        new = nn.Embedding(token_types, config.hidden_size, dtype=old.dtype)
        new.weight.copy_(old[:1].expand(token_types, -1))
        lm.bert.embeddings.token_type_embeddings = new
    lm.config.type_vocab_size = token_types
    return lm


def make_room(lm: PreTrainedModel, tokens: int) -> None:
    """Sees to it that `tokens` ids have rows in the embeddings; new rows are zero.

    Some vocabularies are padded with reserved rows (Llama 3, Qwen): then there is nothing to resize.
    """
    rows = len(embedding_weight(lm))
    if tokens <= rows:
        return
    lm.resize_token_embeddings(tokens, mean_resizing=False)
    head = lm.get_output_embeddings()
    with torch.no_grad():
        for table in (embedding_weight(lm), head.weight, head.bias):
            if table is not None:
                table[rows:] = 0


def embedding_weight(lm: PreTrainedModel) -> Tensor:
    """The input embeddings `[vocabulary, width]` of a model without adapter."""
    weight = lm.get_input_embeddings().weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _hub_name(name: str | Path) -> tuple[str, str | None]:
    """Folder or hub id, and the revision of the latter."""
    if Path(name).is_dir():
        return str(name), None
    repository, _, revision = str(name).partition("@")
    return repository, revision or None


def _nf4() -> BitsAndBytesConfig:
    if find_spec("bitsandbytes") is None or not torch.cuda.is_available():
        raise ModelError("4-bit weights need an NVIDIA GPU and bitsandbytes; pip install 'onegen-el[qlora]'")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Loading and saving take a blink; transformers' bars for them would only disturb the terminal."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
