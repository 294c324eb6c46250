"""The entity linker: text to windows, windows to marks, marks to entities, entities to documents.

Knows the order of the steps and nothing of how each is done.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from onegen_el.backbone import Backbone, load_backbone
from onegen_el.coherence import coherent
from onegen_el.decoding import decode, query_states
from onegen_el.document import Candidate, Entity, LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.tokens import SourceTokens
from onegen_el.windows import Window, cut_windows

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

_Found = tuple[int, int, float, Tensor]  # start and end in the text, probability of the marks, query state
_Placed = tuple[int, int, tuple[int, int]]  # first and last token (exclusive) under a given span, the span
RANKED = 16  # candidates fetched for a mention before the prior is mixed in, at least


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """A text with its marked spans, not linked yet: code-point `spans` in text order, the `probabilities` of
    their marks, and their queries, unit vectors float32 `[spans, dims]`."""

    id: str
    text: str
    spans: tuple[tuple[int, int], ...]
    probabilities: tuple[float, ...]
    queries: np.ndarray


def load(
    model: str | Path | None = None,
    kb: str | Path | None = None,
    device: str = "auto",
    top_k: int = 5,
    min_score: float | None = None,
    batch_size: int = 16,
    policy: str | None = None,
) -> EntityLinker:
    """A linker of a model and a knowledge base (folders or hub ids; None: those of the package).

    Raises ModelError or KBError, also where the two do not belong together.
    """
    backbone = load_backbone(model, device)
    return EntityLinker(backbone, KnowledgeBase.open(kb), top_k, min_score, batch_size, policy)


class EntityLinker:
    """Marks mentions in texts and links them to the entities of a knowledge base.

    `top_k` candidates are kept for each mention; a mention whose best score is below `min_score` (None:
    the model's own threshold) is NIL; `batch_size` windows are decoded together. `policy` says what is marked
    where the model knows several marking policies (None: its default; `ModelManifest.grammar.policies`).
    """

    def __init__(
        self,
        backbone: Backbone,
        kb: KnowledgeBase,
        top_k: int = 5,
        min_score: float | None = None,
        batch_size: int = 16,
        policy: str | None = None,
    ) -> None:
        if top_k < 1 or batch_size < 1:
            raise InputError(f"top_k and batch_size must be at least 1, got {top_k} and {batch_size}")
        kb.check_model(backbone.manifest.serves, backbone.name)
        self.backbone, self.kb = backbone, kb
        self.top_k, self.batch_size = top_k, batch_size
        self.policy, self.tag = policy, backbone.tag(policy)
        self.calibration = backbone.manifest.calibration_of(policy)
        self.min_score = self.calibration.min_score if min_score is None else min_score

    def __repr__(self) -> str:
        return f"EntityLinker({self.backbone.name}, {self.kb!r}, {self.backbone.device})"

    def __call__(self, text: str) -> Doc:
        """The text as a spaCy Doc with linked entities; see `onegen_el.doc.to_doc`."""
        return next(self.pipe([text]))

    def pipe(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Doc]:
        """Docs of many texts in order, decoded in batches across texts."""
        from onegen_el.doc import to_doc

        for document in self.annotate(zip(map(str, count()), texts, strict=False), batch_size):
            yield to_doc(document, self._vocab)

    def annotate(
        self, documents: Iterable[tuple[str, str]], batch_size: int | None = None
    ) -> Iterator[LinkedDocument]:
        """(id, text) pairs as linked documents in the same order; reads ahead only a few batches."""
        for group in self._groups(documents, batch_size or self.batch_size):
            yield from self.retrieve(group)

    def mark(
        self, documents: Iterable[tuple[str, str]], batch_size: int | None = None
    ) -> Iterator[MarkedDocument]:
        """(id, text) pairs with their marked spans and queries, in the same order; `retrieve` links them."""
        for group in self._groups(documents, batch_size or self.batch_size):
            yield from group

    def _groups(self, documents: Iterable[tuple[str, str]], size: int) -> Iterator[list[MarkedDocument]]:
        """MarkedDocument documents, those of a few batches of windows together."""
        ahead: list[tuple[str, SourceTokens]] = []
        windows = 0
        for identifier, text in documents:
            tokens = self.backbone.tokenize(text)
            ahead.append((identifier, tokens))
            windows += 1 + len(tokens) // self.backbone.manifest.windows.own
            if windows >= 4 * size:
                yield self._mark(ahead, size)
                ahead, windows = [], 0
        if ahead:
            yield self._mark(ahead, size)

    def link(self, text: str, mentions: Sequence[tuple[int, int]], id: str = "") -> LinkedDocument:
        """Links given code-point spans of a text instead of marking it; spans may overlap.

        Spans come back as given, in text order. Raises InputError for a span that is empty, outside the
        text, without any token, or longer than a window of the model.
        """
        return self.retrieve([self.mark_given(text, mentions, id)])[0]

    def mark_given(self, text: str, mentions: Sequence[tuple[int, int]], id: str = "") -> MarkedDocument:
        """The queries of given spans, as `link` looks them up."""
        tokens = self.backbone.tokenize(text)
        spans = sorted(set(mentions))
        placed = [(*self._tokens_under(tokens, span), span) for span in spans]
        states: dict[tuple[int, int], Tensor] = {}
        for layer in _disjoint_layers(placed):
            tasks = self._windows_around(tokens, layer)
            for at in range(0, len(tasks), self.batch_size):
                batch = tasks[at : at + self.batch_size]
                prompted = [window.prompted(tokens, self.backbone.aligned, self.tag) for window, _ in batch]
                ranges = [
                    [(first + shift, last + shift) for first, last, _ in inside]
                    for window, inside in batch
                    for shift in [window.head - window.context[0]]
                ]
                found = query_states(self.backbone, prompted, ranges)
                for rows, (window, inside) in zip(found, batch, strict=True):
                    for row, (first, last, span) in zip(rows, inside, strict=True):
                        if window.start <= first and last <= window.end:
                            states[span] = row
        queries = self._unit([states[span] for span in spans])
        return MarkedDocument(id, text, tuple(spans), (1.0,) * len(spans), queries)

    def _mark(self, documents: Sequence[tuple[str, SourceTokens]], size: int) -> list[MarkedDocument]:
        """Marks some documents at once."""
        settings, aligned = self.backbone.manifest.windows, self.backbone.aligned
        windows = [
            (number, window)
            for number, (_, tokens) in enumerate(documents)
            for window in cut_windows(tokens, settings)
        ]
        # Windows of like size are decoded together, so that little is padded.
        order = sorted(range(len(windows)), key=lambda index: _size(windows[index][1]))
        found: list[list[_Found]] = [[] for _ in documents]
        for at in range(0, len(order), size):
            batch = [windows[index] for index in order[at : at + size]]
            prompted = [window.prompted(documents[number][1], aligned, self.tag) for number, window in batch]
            decoded = decode(self.backbone, prompted, bias=self.calibration.mark_bias)
            rows = zip(batch, prompted, decoded.mentions, decoded.states, strict=True)
            for (number, window), prompt, marked, states in rows:
                tokens = documents[number][1]
                for mention, state in zip(marked, states, strict=True):
                    first, last = prompt.shown[mention.first], prompt.shown[mention.last - 1] + 1
                    # Without aligned positions the context is copied too; its marks are its own window's.
                    if window.start <= first < window.end:
                        start, end = tokens.span(first, last)
                        if start < end:
                            found[number].append((start, end, mention.probability, state))
        kept = [_without_overlaps(spans) for spans in found]
        queries = self._unit([state for spans in kept for *_, state in spans])
        parts = np.split(queries, np.cumsum([len(spans) for spans in kept])[:-1])
        return [
            MarkedDocument(
                identifier,
                tokens.text,
                tuple((start, end) for start, end, *_ in spans),
                tuple(chance for _, _, chance, _ in spans),
                part,
            )
            for (identifier, tokens), spans, part in zip(documents, kept, parts, strict=True)
        ]

    def _unit(self, states: Sequence[Tensor]) -> np.ndarray:
        """Query vectors float32 `[n, dims]` of query states."""
        if not states:
            return np.empty((0, self.backbone.dims), np.float32)
        with torch.inference_mode():
            vectors: np.ndarray = self.backbone.vectors(torch.stack(list(states))).cpu().numpy()
        return vectors

    def retrieve(self, documents: Sequence[MarkedDocument]) -> list[LinkedDocument]:
        """Looks up the entities of all marked spans in one search and puts the documents together."""
        weight = self.calibration.coherence
        queries = [
            coherent(marked.queries, [marked.text[start:end] for start, end in marked.spans], weight)
            for marked in documents
        ]
        found = iter(self._candidates(np.concatenate(queries)) if any(map(len, queries)) else ())
        return [
            LinkedDocument(
                marked.id,
                marked.text,
                tuple(
                    self._mention(marked.text, span, chance, next(found))
                    for span, chance in zip(marked.spans, marked.probabilities, strict=True)
                ),
            )
            for marked in documents
        ]

    def _candidates(self, vectors: np.ndarray) -> list[list[tuple[Entity, float]]]:
        """Best entities of each vector with their scores, best first, ties by entity id."""
        weight = self.calibration.prior_weight
        hits = self.kb.search(vectors, max(self.top_k, RANKED))
        entities = {int(key): None for key in np.unique(hits.keys) if key >= 0}
        known = dict(zip(entities, self.kb.entities(list(entities)), strict=True))
        ranked = []
        for keys, cosines in zip(hits.keys.tolist(), hits.scores.tolist(), strict=True):
            pairs = [(known[key], cosine) for key, cosine in zip(keys, cosines, strict=True) if key >= 0]
            scored = [(entity, cosine + weight * entity.prior) for entity, cosine in pairs]
            ranked.append(sorted(scored, key=lambda pair: (-pair[1], pair[0].id))[: self.top_k])
        return ranked

    def _mention(
        self, text: str, span: tuple[int, int], probability: float, found: Sequence[tuple[Entity, float]]
    ) -> Mention:
        start, end = span
        best, score = found[0] if found else (None, 0.0)
        linked = best if best is not None and score >= self.min_score else None
        return Mention(
            start=start,
            end=end,
            surface=text[start:end],
            entity=linked.id if linked else None,
            title=linked.title if linked else None,
            url=linked.url if linked else None,
            label=linked.label if linked else "",
            score=score,
            detection_score=probability,
            candidates=tuple(Candidate(entity.id, entity.title, value) for entity, value in found),
        )

    def _tokens_under(self, tokens: SourceTokens, span: tuple[int, int]) -> tuple[int, int]:
        """The tokens a given span touches, widened to where marks may stand."""
        start, end = span
        if not 0 <= start < end <= len(tokens.text):
            raise InputError(
                f"span {start}-{end} is empty or outside the text of {len(tokens.text)} characters"
            )
        first, last = bisect_right(tokens.ends, start), bisect_left(tokens.starts, end)
        if first >= last or not tokens.text[start:end].strip():
            raise InputError(
                f"span {start}-{end} ({tokens.text[start:end]!r}) has nothing in it that the model can read"
            )
        while not tokens.breakable[first] and first:
            first -= 1
        while last < len(tokens) and not tokens.breakable[last]:
            last += 1
        if last - first > self.backbone.manifest.windows.own:
            raise InputError(
                f"span {start}-{end} has {last - first} tokens; this model's windows hold "
                f"{self.backbone.manifest.windows.own}"
            )
        return first, last

    def _windows_around(
        self, tokens: SourceTokens, layer: Sequence[_Placed]
    ) -> list[tuple[Window, list[_Placed]]]:
        """Windows that together hold all spans of a layer, each with the spans that are marked in it.

        A span that crosses a cut gets a window of its own; without aligned positions the spans of a
        window's context are marked as well, as they are when the text is marked from the start.
        """
        settings = self.backbone.manifest.windows
        cut = cut_windows(tokens, settings)
        for first, last, _ in layer:
            if not any(window.start <= first and last <= window.end for window in cut):
                left, right = max(0, first - settings.before), min(len(tokens), last + settings.after)
                cut.append(Window(first, last, (left, right), min(settings.head, left)))
        tasks = []
        for window in cut:
            own = (window.start, window.end)
            if any(own[0] <= first and last <= own[1] for first, last, _ in layer):
                start, end = own if self.backbone.aligned else window.context
                tasks.append((window, [item for item in layer if start <= item[0] and item[1] <= end]))
        return tasks

    @cached_property
    def _vocab(self) -> Vocab:
        import spacy

        return spacy.blank("en").vocab


def _size(window: Window) -> int:
    return window.head + window.context[1] - window.context[0]


def _disjoint_layers(placed: Sequence[_Placed]) -> list[list[_Placed]]:
    """Splits spans into groups without overlaps: one sequence cannot mark a token twice."""
    layers: list[list[_Placed]] = []
    for item in sorted(placed):
        for layer in layers:
            if layer[-1][1] <= item[0]:
                layer.append(item)
                break
        else:
            layers.append([item])
    return layers


def _without_overlaps(found: Sequence[_Found]) -> list[_Found]:
    """In text order; where a window's last mention reaches into the next window, it stays."""
    kept: list[_Found] = []
    for start, end, chance, state in sorted(found, key=lambda item: item[:2]):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end, chance, state))
    return kept
