"""Shapes of language models, as data: how wide, how deep, how many words.

Knows the sizes and the names that transformers has for them; makes no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onegen_el.errors import ModelError


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a language model. `kind` is the model type of transformers; "" is the bundled model itself,
    weights and all."""

    name: str
    kind: str = ""
    width: int = 0
    inner: int = 0
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    vocabulary: int = 0
    positions: int = 0
    tied: bool = False

    def fields(self) -> dict[str, Any]:
        """The same under the names that transformers' configurations have."""
        return {
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "tie_word_embeddings": self.tied,
        }


# From the configurations that the models are published with.
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("llama2-7b", "llama", 4096, 11008, 32, 32, 32, 32000, 4096),
        Shape("llama3-8b", "llama", 4096, 14336, 32, 32, 8, 128256, 131072),
        Shape("qwen2.5-1.5b", "qwen2", 1536, 8960, 28, 12, 2, 151936, 131072, tied=True),
        Shape("qwen2.5-0.5b", "qwen2", 896, 4864, 24, 14, 2, 151936, 32768, tied=True),
        Shape("tiny", "llama", 256, 704, 4, 4, 4, 32000, 4096),
        Shape("minilm"),
    )
}


def find_shape(name: str) -> Shape:
    """The shape of this name; raises ModelError where there is none."""
    if name not in SHAPES:
        raise ModelError(f"{name!r}: no such shape; known are {', '.join(SHAPES)}")
    return SHAPES[name]
