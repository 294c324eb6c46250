"""Tiny random models, made in a blink and offline, and random windows for them.

Knows one backbone for each kind of model and grammar that the package meets; the weights mean nothing, they
are only large enough that every state depends on everything the token sees.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from onegen_el.backbone import Backbone
from onegen_el.grammar import Grammar, Prompted
from onegen_el.manifest import ModelManifest
from onegen_el.training.start import new_backbone
from onegen_el.windows import WindowSettings

SENTENCES = (
    "The harbour of Lisbon was quiet when Maria Costa opened her bakery on Monday.",
    "Northwind Airlines bought twelve aircraft; its shares rose by four per cent in Oslo.",
    "Brighton beat Leeds 2-1, and the goalkeeper was carried from the field.",
    "In 1887 the chemist Anna Weber described a salt that glows at night.",
    "Represent the entity that is meant: start and end of the mention, then retrieve it.",
    "A committee in Nairobi will decide in March whether the bridge can be repaired.",
)
NATIVE = Grammar(prompt_suffix="\n")
ENCODER = Grammar(
    prompt_prefix="[CLS]",
    prompt_suffix="[SEP]",
    positions="aligned",
    attention="prefix",
    token_types="casing",
)
# The published checkpoint's way: the marks of a mention are plain text, several tokens each.
REFERENCE = Grammar(
    query="[LK]",
    follow_up="[_CONTINUE_]",
    entity_token="[SE]",
    prompt_prefix="Mark the text:\n",
    prompt_suffix="\nNow:",
)
NAMES = ("llama", "qwen2", "mistral", "bert", "reference")
BIAS = -1.5  # added to the log-odds of opening a mention, these models mark now and then


def bpe_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as Llama 3, Qwen and Mistral have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    """Uncased WordPiece with `##` pieces, as BERT has it; a trainer would break ties at random."""
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(SENTENCES).lower())))
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + letter for letter in letters), *words]
    ids = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


@cache
def tiny_backbone(name: str) -> Backbone:
    """One of NAMES; the same weights every time."""
    torch.manual_seed(NAMES.index(name))
    tokenizer = wordpiece_tokenizer() if name == "bert" else bpe_tokenizer()
    if name == "reference":
        tokenizer.add_tokens(["[LK]", "[_CONTINUE_]", "[SE]"], special_tokens=True)
    lm = _model(name, len(tokenizer))
    settings = WindowSettings(own=24, before=8, after=8, head=4 if name == "bert" else 0)
    grammar = {"bert": ENCODER, "reference": REFERENCE}.get(name, NATIVE)
    manifest = ModelManifest(name=f"tiny-{name}", grammar=grammar, windows=settings, dims=32)
    # `new_backbone` would make every mark a token of its own, which the reference's are not.
    make = Backbone if name == "reference" else new_backbone
    return make(lm, tokenizer, manifest).eval()


def _model(name: str, vocabulary: int) -> PreTrainedModel:
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
    }
    if name == "bert":
        return BertLMHeadModel(BertConfig(**sizes, type_vocab_size=6, is_decoder=True))
    grouped = {**sizes, "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": None}
    if name == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**grouped))
    if name == "mistral":
        return MistralForCausalLM(MistralConfig(**grouped))
    return LlamaForCausalLM(LlamaConfig(**grouped))


def random_window(backbone: Backbone, seed: int, longest: int = 40) -> Prompted:
    """A window of 0 to `longest` copied tokens between some context, with word pieces and all casings."""
    dice = random.Random(seed)
    copied = dice.choice((0, 1, 2, dice.randrange(3, longest), dice.randrange(longest // 2, longest + 1)))
    before, after = dice.randrange(1, 8), dice.randrange(8)
    total = before + copied + after
    return Prompted(
        ids=[dice.randrange(4, 120) for _ in range(total)],
        casing=[dice.randrange(3) for _ in range(total)],
        breakable=[dice.random() < 0.75 for _ in range(total)],
        shown=range(total),
        first=before,
        last=before + copied,
        tag=dice.choice(((), (5, 6))),
    )
