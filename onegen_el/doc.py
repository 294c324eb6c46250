"""Linked documents as spaCy `Doc`s: entities on tokens, exact offsets and scores beside them.

Knows spaCy and the values of `onegen_el.document`; does not know models. Importing it registers the
extension attributes `doc._.onegen` and `span._.onegen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spacy.lang.en import English
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc, Span
from spacy.util import filter_spans
from spacy.vocab import Vocab

from onegen_el.document import LinkedDocument, Mention
from onegen_el.unicode import encodable

ATTRIBUTE = "onegen"
UNTYPED = "ENT"

for holder in (Doc, Span):
    if not holder.has_extension(ATTRIBUTE):
        holder.set_extension(ATTRIBUTE, default=None)


def to_doc(document: LinkedDocument, vocab: Vocab) -> Doc:
    """A Doc of the same text, tokenised as blank English, with the mentions as `doc.ents`.

    `ent.label_` is the coarse type or `ENT`, `ent.kb_id_` the entity id, "" where not linked, and
    `ent._.onegen` a dict with the mention's exact offsets, scores, title, url and candidates.
    Where a mention begins or ends inside a token the entity is widened to whole tokens; of entities that
    then overlap the longest stays. `doc._.onegen` is `{"id", "mentions", "misaligned", "dropped"}`: every
    mention, how many were widened and how many of those are not in `doc.ents`.
    Raises ValueError for a mention that lies outside the text.
    A lone surrogate, which spaCy cannot hold, becomes U+FFFD; all other text stays as it is.
    """
    doc: Doc = _tokenizer(vocab)(encodable(document.text))
    aligned = align(doc, document.mentions, document.id)
    doc.ents = filter_spans(aligned.spans)
    for ent in doc.ents:
        ent._.set(ATTRIBUTE, aligned.details[ent.start, ent.end])
    doc._.set(
        ATTRIBUTE,
        {
            "id": encodable(document.id),
            "mentions": tuple(map(mention_details, document.mentions)),
            "misaligned": aligned.misaligned,
            "dropped": len(document.mentions) - len(doc.ents),
        },
    )
    return doc


@dataclass(frozen=True, slots=True)
class Aligned:
    """Mentions on the tokens of a Doc.

    `spans` has one span a mention, in order, but none for a mention of nothing but the blank after a token,
    which belongs to no token; `details` what `span._.onegen` says of each (first token, end)
    of them; `misaligned` is how many mentions began or ended inside a token and were widened.
    """

    spans: list[Span]
    details: dict[tuple[int, int], dict[str, Any]]
    misaligned: int


def align(doc: Doc, mentions: Sequence[Mention], name: str = "") -> Aligned:
    """Spans of whole tokens for mentions of the doc's text; changes nothing in the doc.

    Raises ValueError, which begins with `name`, for a mention that lies outside the text.
    """
    spans: list[Span] = []
    details: dict[tuple[int, int], dict[str, Any]] = {}
    misaligned = 0
    for mention in mentions:
        label, kb_id = mention.label or UNTYPED, encodable(mention.entity or "")
        span = doc.char_span(mention.start, mention.end, label, kb_id)
        if span is None:
            misaligned += 1
            span = doc.char_span(mention.start, mention.end, label, kb_id, alignment_mode="expand")
        if span is None:
            raise ValueError(f"{name}: {mention!r} is not a span of the text")
        if span.start == span.end:
            continue
        spans.append(span)
        # Of several mentions inside one token `filter_spans` keeps the first, and so does this.
        details.setdefault((span.start, span.end), mention_details(mention))
    return Aligned(spans, details, misaligned)


@lru_cache(maxsize=4)
def _tokenizer(vocab: Vocab) -> Tokenizer:
    return English(vocab=vocab).tokenizer


def mention_details(mention: Mention) -> dict[str, Any]:
    """`Mention.to_dict`, with offsets named as spaCy names them."""
    row = _plain(mention.to_dict())
    return {"start_char": row.pop("start"), "end_char": row.pop("end"), **row}


def _plain(value: Any) -> Any:
    """The same value as msgpack keeps it: tuples, because spaCy's DocBin reads arrays as tuples."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list) else value
