"""A text as source tokens with exact offsets, and the way back from token ranges to spans of the text.

Knows Hugging Face fast tokenizers; does not know marks or models. A special token that stands literally
in the text is plain text here: marks can only come from the decoder.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from onegen_el.errors import ModelError

JOINERS = "\u200d\ufe0e\ufe0f"  # zero-width joiner and variation selectors belong to what stands before


@dataclass(frozen=True, slots=True)
class SourceTokens:
    """The tokens of one text.

    `starts`/`ends` are code-point offsets; `casing` is 0 lower, 1 Capitalised, 2 ALL CAPS; `breakable[i]`
    says whether a mark may stand before token i.
    """

    text: str
    ids: list[int]
    starts: list[int]
    ends: list[int]
    casing: list[int]
    breakable: list[bool]

    def __len__(self) -> int:
        return len(self.ids)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Code-point span of tokens `first` to `last` (exclusive): outer white space is left out,
        combining marks, joiners and variation selectors that follow the last token are taken in."""
        start, end = self.starts[first], max(self.ends[first:last])
        limit = self.starts[last] if last < len(self) else len(self.text)
        while end < limit and (self.text[end] in JOINERS or unicodedata.category(self.text[end])[0] == "M"):
            end += 1
        while start < end and self.text[start].isspace():
            start += 1
        while end > start and self.text[end - 1].isspace():
            end -= 1
        return start, end

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Token range whose span is exactly `start`-`end`, or None if marks cannot reach it."""
        first, last = bisect_right(self.ends, start), bisect_left(self.starts, end)
        if first >= last or not self.breakable[first]:
            return None
        if last < len(self) and not self.breakable[last]:
            return None
        return (first, last) if self.span(first, last) == (start, end) else None


class SourceTokenizer:
    """Tokenises user text for one model; raises ModelError if the model has no fast tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.is_fast:
            raise ModelError(
                "the model's tokenizer has no fast version, so exact offsets cannot be had; "
                "save the model with a tokenizer.json"
            )
        self._tokenizer = tokenizer
        model = getattr(tokenizer.backend_tokenizer, "model", None)
        self._continuation = getattr(model, "continuing_subword_prefix", None) or ""

    def __call__(self, text: str) -> SourceTokens:
        # A lone surrogate cannot be encoded; one stand-in of the same length keeps every offset.
        clean = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
        encoded = self._tokenizer(
            clean,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            truncation=False,
            verbose=False,
        )
        ids = list(encoded["input_ids"])
        starts: list[int] = []
        ends: list[int] = []
        for start, end in encoded["offset_mapping"]:
            # Offsets are made monotone: byte-level tokens that share a code point all point at it.
            starts.append(max(start, starts[-1] if starts else 0))
            ends.append(max(end, starts[-1], ends[-1] if ends else 0))
        pieces = self._tokenizer.convert_ids_to_tokens(ids) if self._continuation else []
        breakable = [index == 0 or starts[index] >= ends[index - 1] for index in range(len(ids))]
        if self._continuation:
            breakable = [
                b and not piece.startswith(self._continuation)
                for b, piece in zip(breakable, pieces, strict=True)
            ]
        # A token without a visible character cannot begin a mention of its own.
        breakable = [b and e > s for b, s, e in zip(breakable, starts, ends, strict=True)]
        casing = [_casing(text[s:e]) for s, e in zip(starts, ends, strict=True)]
        return SourceTokens(text, ids, starts, ends, _spread(casing, starts, ends, text), breakable)


def _casing(piece: str) -> int:
    letters = [c for c in piece if c.isalpha()]
    if not letters or not letters[0].isupper():
        return 0
    return 2 if len(letters) > 1 and all(c.isupper() for c in letters) else 1


def _spread(casing: list[int], starts: list[int], ends: list[int], text: str) -> list[int]:
    """Casing of a word for each of its pieces, so that `WASHINGTON` is ALL CAPS in every piece."""
    result = list(casing)
    index = 0
    while index < len(result):
        last = index + 1
        while (
            last < len(result)
            and starts[last] == ends[last - 1]
            and text[starts[last] : starts[last] + 1].isalpha()
        ):
            last += 1
        if last - index > 1:
            result[index:last] = [_casing(text[starts[index] : ends[last - 1]])] * (last - index)
        index = last
    return result
