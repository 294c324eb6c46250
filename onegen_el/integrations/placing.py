"""Writes mentions into a spaCy Doc that other components have written to as well.

Knows the Doc, its entities and span groups; does not know the linker or the pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from onegen_el.doc import ATTRIBUTE, align, mention_details
from onegen_el.document import Mention
from onegen_el.unicode import encodable

Ents = Literal["set", "fill", "spans"]


def place(doc: Doc, mentions: Sequence[Mention], ents: Ents, spans_key: str) -> None:
    """Writes the mentions that were found in a doc's text; what `ents` means is in `docs/spacy.md`.

    A mention that begins or ends inside a token is widened to whole tokens; of overlapping entities the
    longest stays, then the first (`spacy.util.filter_spans`). Each loss is counted in `doc._.onegen`.
    """
    aligned = align(doc, mentions, "onegen_el")
    ours = {(span.start, span.end): span for span in reversed(aligned.spans)}
    before = list(doc.ents)
    replaced = 0
    if ents == "spans":
        kept = [ours[bounds] for bounds in aligned.details]
        doc.spans[spans_key] = kept
    elif ents == "set":
        kept = filter_spans(aligned.spans)
        _set_entities(doc, kept)
        replaced = len(before)
    else:
        theirs = {(ent.start, ent.end) for ent in before}
        filled = [_with_id(ent, ours.get((ent.start, ent.end))) for ent in before]
        added = [span for span in aligned.spans if (span.start, span.end) not in theirs]
        kept = filter_spans([*filled, *added])
        _set_entities(doc, kept)
        replaced = len(before) - sum((ent.start, ent.end) in theirs for ent in kept)
    shown = [span for span in kept if (span.start, span.end) in aligned.details]
    for span in shown:
        span._.set(ATTRIBUTE, aligned.details[span.start, span.end])
    _report(
        doc,
        mentions,
        misaligned=aligned.misaligned,
        dropped=len(mentions) - len(shown),
        replaced=replaced,
    )


def asked(doc: Doc, ents: Ents) -> list[Span]:
    """The entities of other components that are to be linked; "fill" leaves those that have an id."""
    return [ent for ent in doc.ents if ents != "fill" or not ent.kb_id_]


def place_on_entities(
    doc: Doc, mentions: Sequence[Mention], ents: Ents, spans_key: str, skipped: int = 0
) -> None:
    """Gives entities of other components the ids that were found for exactly their characters.

    Bounds, labels and `ent_id_` stay; `skipped` is how many entities the model could not read.
    """
    found = {(mention.start, mention.end): mention for mention in mentions}
    spans: list[Span] = []
    for ent in doc.ents:
        mention = found.get((ent.start_char, ent.end_char))
        if mention is None:
            spans += [] if ents == "spans" else [ent]
            continue
        kb_id = encodable(mention.entity or "")
        span = Span(doc, ent.start, ent.end, label=ent.label, kb_id=kb_id, span_id=ent.id)
        span._.set(ATTRIBUTE, mention_details(mention))
        spans.append(span)
    if ents == "spans":
        doc.spans[spans_key] = spans
    else:
        doc.ents = spans
    _report(doc, mentions, skipped=skipped)


def _with_id(ent: Span, ours: Span | None) -> Span:
    """The entity with our id, if it has none of its own."""
    if ours is None or ent.kb_id_:
        return ent
    return Span(ent.doc, ent.start, ent.end, label=ent.label, kb_id=ours.kb_id, span_id=ent.id)


def _set_entities(doc: Doc, spans: list[Span]) -> None:
    """Makes these the doc's entities; spaCy itself would leave `ent_id_` of the old ones on their tokens."""
    for ent in doc.ents:
        for token in ent:
            token.ent_id = 0
    doc.ents = spans


def _report(doc: Doc, mentions: Sequence[Mention], **counts: int) -> None:
    facts: dict[str, Any] = {"mentions": tuple(map(mention_details, mentions))}
    facts |= {"misaligned": 0, "dropped": 0, "replaced": 0, "skipped": 0, **counts}
    doc._.set(ATTRIBUTE, facts)
