"""Gold documents as training windows, and windows as padded batches with their decisions and queries.

Knows corpora, windows and the grammar; does not know the model's weights or the objective.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from onegen_el.gold import GoldDocument, GoldMention, read_gold
from onegen_el.grammar import SOURCE, Decision, MarkIds, annotated_layout, token_type
from onegen_el.tokens import SourceTokenizer, SourceTokens
from onegen_el.training.catalog import Catalog
from onegen_el.training.recipe import Corpus
from onegen_el.windows import Window, WindowSettings, cut_windows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """A window with its mentions as document token ranges and entity indices (-1: none to learn).

    Tokens `copied[0]` to `copied[1]` (exclusive) are copied by the output. `negatives` are entity indices
    that the corpus names as not meant, for each mention (empty: it names none at all). `tag` tells the
    marking policy.
    """

    tokens: SourceTokens
    window: Window
    copied: tuple[int, int]
    mentions: tuple[tuple[int, int, int], ...]
    marks: str
    negatives: tuple[tuple[int, ...], ...] = ()
    tag: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """About how many tokens the whole sequence has."""
        shown = self.window.head + self.window.context[1] - self.window.context[0]
        return shown + len(self.tag) + self.copied[1] - self.copied[0] + 3 * len(self.mentions) + 4


@dataclass(slots=True)
class Reach:
    """What of the gold could be used: counted, never silently dropped.

    `unreachable` mentions are not on token boundaries, `nested` ones overlap an outer one, `crossing` ones
    fit no window, `unused` ones are only in windows that were left out, `unknown` entities are not in the
    table.
    """

    mentions: int = 0
    unreachable: int = 0
    nested: int = 0
    crossing: int = 0
    unused: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        return (
            f"{self.mentions} mentions, {self.unreachable} not on token boundaries, {self.nested} nested, "
            f"{self.crossing} across windows, {self.unused} in windows left out, "
            f"{self.unknown} with an entity that is not in the table"
        )


def read_examples(
    corpora: Sequence[Corpus],
    root: str | Path,
    tokenize: SourceTokenizer,
    windows: WindowSettings,
    catalog: Catalog,
    aligned: bool,
    seed: int,
    tag: Callable[[str], tuple[int, ...]] = lambda policy: (),
) -> list[Example]:
    """Windows of all corpora, each corpus as its recipe says; logs what could not be used. `tag` gives the
    tokens of a marking policy."""
    examples: list[Example] = []
    for corpus in corpora:
        reach = Reach()
        found: list[Example] = []
        for document in corpus_documents(corpus, root):
            found += document_examples(
                document, corpus, tokenize, windows, catalog, reach, aligned, tag(corpus.policy)
            )
        if corpus.limit and len(found) > corpus.limit:
            found = random.Random(seed).sample(found, corpus.limit)
        log.info("%s: %d windows; %s", corpus.path, len(found), reach)
        examples += found * corpus.repeat
    return examples


def corpus_documents(corpus: Corpus, root: str | Path = ".") -> Iterator[GoldDocument]:
    """The documents of a corpus that its recipe chooses; raises InputError where a row cannot be read."""
    chosen = 0
    for number, document in enumerate(read_gold(Path(root) / corpus.path, corpus.format)):
        if corpus.documents and chosen == corpus.skip + corpus.documents:
            return
        if corpus.half and (number % 2 == 0) != (corpus.half == "even"):
            continue
        if corpus.genres and document.genre not in corpus.genres:
            continue
        chosen += 1
        if chosen > corpus.skip:
            yield document


def document_examples(
    document: GoldDocument,
    corpus: Corpus,
    tokenize: SourceTokenizer,
    settings: WindowSettings,
    catalog: Catalog,
    reach: Reach,
    aligned: bool,
    tag: tuple[int, ...] = (),
) -> list[Example]:
    """The windows of one document that teach something, with the mentions of what is copied there.

    All that is copied must lie in the document's annotated scope.
    """
    tokens = tokenize(document.text)
    spans, named = _token_mentions(document.mentions, tokens, corpus, catalog, reach)
    examples = []
    held: set[tuple[int, int, int]] = set()
    for window in cut_windows(tokens, settings):
        first, last = copied = (window.start, window.end) if aligned else window.context
        inside = tuple(m for m in spans if first <= m[0] and m[1] <= last)
        held.update(inside)
        if tokens.starts[first] < document.scope[0] or tokens.ends[last - 1] > document.scope[1]:
            continue
        linked = sum(1 for mention in inside if mention[2] >= 0)
        teaches = {"all": True, "partial": len(inside) > 0, "none": linked > 0}[corpus.marks]
        if teaches and linked >= corpus.min_links:
            negatives = tuple(named.get(mention, ()) for mention in inside) if named else ()
            examples.append(Example(tokens, window, copied, inside, corpus.marks, negatives, tag))
    reach.crossing += len(spans) - len(held)
    reach.unused += len(held) - len({mention for example in examples for mention in example.mentions})
    return examples


def _token_mentions(
    mentions: Sequence[GoldMention], tokens: SourceTokens, corpus: Corpus, catalog: Catalog, reach: Reach
) -> tuple[list[tuple[int, int, int]], dict[tuple[int, int, int], tuple[int, ...]]]:
    """Disjoint token ranges with entity indices, and the negatives of those that have some; of nested
    mentions the outermost stays."""
    spans: list[tuple[int, int, int]] = []
    named: dict[tuple[int, int, int], tuple[int, ...]] = {}
    for mention in mentions:
        if corpus.kinds and mention.kind not in corpus.kinds:
            continue
        reach.mentions += 1
        reached = tokens.tokens_of(mention.start, mention.end)
        if reached is None:
            reach.unreachable += 1
        elif spans and reached[0] < spans[-1][1]:
            reach.nested += 1
        else:
            entity = catalog.find(mention.entity) if corpus.links else -1
            reach.unknown += mention.entity is not None and entity < 0
            spans.append((*reached, entity))
            negatives = {catalog.find(name) for name in mention.negatives} - {-1, entity}
            if entity >= 0 and negatives:
                named[spans[-1]] = tuple(sorted(negatives))
    return spans, named


@dataclass(slots=True)
class Batch:
    """Windows padded on the right, `[rows, tokens]`, and flat indices into `rows * tokens`.

    `decide_at` `[d]`, `choices` `[d, 2]` (copy, tag), `wrote_tag` `[d]`; `query_at` `[q]`, `targets` `[q]`
    (entity index), `given` `[q, n]` (entities the corpus names as not meant, -1 = none); `next_at` `[g]`,
    `next_ids` `[g]`: every generated token, for the full cross-entropy.
    """

    ids: Tensor
    positions: Tensor
    types: Tensor
    mask: Tensor
    decide_at: Tensor
    choices: Tensor
    wrote_tag: Tensor
    query_at: Tensor
    targets: Tensor
    given: Tensor
    next_at: Tensor
    next_ids: Tensor

    def as_dict(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self.__slots__}


def collate(
    examples: Sequence[Example],
    marks: MarkIds,
    aligned: bool,
    prefix: bool,
    positives: int = 0,
    rng: random.Random | None = None,
) -> Batch:
    """One padded batch; `prefix` lets prompt tokens see each other in both directions. Of each window
    `positives` queries learn, drawn with `rng` (0 = all)."""
    layouts, prompts = [], []
    decide: list[tuple[int, int, int, int, bool]] = []
    query: list[tuple[int, int, int]] = []
    given: list[tuple[int, ...]] = []
    following: list[tuple[int, int, int]] = []
    for row, example in enumerate(examples):
        window = example.window.prompted(example.tokens, aligned, example.tag)
        shift = example.window.head - example.window.context[0]
        ranges = [(first + shift, last + shift) for first, last, _ in example.mentions]
        layout, decisions, queries = annotated_layout(marks, window, ranges, aligned)
        layouts.append(layout)
        prompt = len(marks.prefix) + len(window.tag) + len(window.shown) + len(marks.suffix)
        prompts.append(prompt)
        if example.marks != "none":
            told = decisions if example.marks == "all" else list(_told(decisions))
            untold = {d.at for d in decisions} - {d.at for d in told}
            decide += [(row, d.at, d.copy, d.tag, d.wrote_tag) for d in told]
            generated = range(prompt - 1, len(layout) - 1)
            following += [(row, at, layout.ids[at + 1]) for at in generated if at not in untold]
        learned = [number for number, (_, _, entity) in enumerate(example.mentions) if entity >= 0]
        if rng is not None and 0 < positives < len(learned):
            learned = sorted(rng.sample(learned, positives))
        query += [(row, queries[number], example.mentions[number][2]) for number in learned]
        given += [example.negatives[number] if example.negatives else () for number in learned]
    rows, length = len(layouts), max(map(len, layouts))
    ids, positions, types = (torch.zeros(rows, length, dtype=torch.long) for _ in range(3))
    types += token_type(0, SOURCE)
    seen = torch.zeros(rows, length, dtype=torch.bool)
    for row, layout in enumerate(layouts):
        ids[row, : len(layout)] = torch.tensor(layout.ids)
        positions[row, : len(layout)] = torch.tensor(layout.positions)
        types[row, : len(layout)] = torch.tensor(layout.types)
        seen[row, : len(layout)] = True
    mask = torch.ones(length, length, dtype=torch.bool).tril().repeat(rows, 1, 1)
    if prefix:
        for row, prompt in enumerate(prompts):
            mask[row, :prompt, :prompt] = True
    mask &= seen[:, None, :]
    return Batch(
        ids=ids,
        positions=positions,
        types=types,
        mask=mask,
        decide_at=torch.tensor([row * length + at for row, at, *_ in decide], dtype=torch.long),
        choices=torch.tensor([(copy, tag) for _, _, copy, tag, _ in decide], dtype=torch.long).view(-1, 2),
        wrote_tag=torch.tensor([float(wrote) for *_, wrote in decide]),
        query_at=torch.tensor([row * length + at for row, at, _ in query], dtype=torch.long),
        targets=torch.tensor([entity for *_, entity in query], dtype=torch.long),
        given=_padded(given),
        next_at=torch.tensor([row * length + at for row, at, _ in following], dtype=torch.long),
        next_ids=torch.tensor([token for *_, token in following], dtype=torch.long),
    )


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """`[rows, longest]`, filled up with -1."""
    longest = max(map(len, rows), default=0)
    filled = [[*row, *[-1] * (longest - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.long).view(len(rows), longest)


def _told(decisions: Sequence[Decision]) -> Iterator[Decision]:
    """The decisions that partial marks speak of: every mark, and every token inside of a mention."""
    inside = False
    for decision in decisions:
        if inside or decision.wrote_tag:
            yield decision
        inside ^= decision.wrote_tag


class Schedule(Dataset[dict[str, Tensor]]):
    """Item i is the whole i-th batch, a function of the seed alone, so a resumed run sees the same.

    `make` makes a batch of examples and a random generator. There are as many batches as asked for, or
    enough for `epochs` passes. Each pass over the examples is shuffled anew; inside stretches of some
    steps examples are sorted by size, so that little is padded.
    """

    stretch = 16

    def __init__(
        self,
        examples: Sequence[Example],
        make: Callable[[Sequence[Example], random.Random], Batch],
        step_tokens: int,
        seed: int,
        batches: int = 0,
        epochs: float = 0.0,
        multiple: int = 1,
    ) -> None:
        """The number of batches is rounded up to a `multiple`: of batches that make one update."""
        self._examples, self._make, self._seed = examples, make, seed
        self._plan: list[list[int]] = []
        self.passes = 0
        wanted = batches
        while not self._plan or len(self._plan) < wanted:
            self._plan += self._one_pass(random.Random(seed * 1000 + self.passes), step_tokens)
            self.passes += 1
            if self.passes == 1:
                wanted = -(-(wanted or math.ceil(len(self._plan) * epochs)) // multiple) * multiple
        del self._plan[wanted:]

    def _one_pass(self, rng: random.Random, step_tokens: int) -> list[list[int]]:
        order = list(range(len(self._examples)))
        rng.shuffle(order)
        batches: list[list[int]] = []
        mean = sum(self._examples[i].size for i in order) / len(order)
        size = max(1, int(self.stretch * step_tokens / mean))
        for start in range(0, len(order), size):
            part = sorted(order[start : start + size], key=lambda i: self._examples[i].size)
            made: list[list[int]] = [[]]
            for index in part:
                # Sorted, so the newest is the longest and sets the padded length.
                if made[-1] and (len(made[-1]) + 1) * self._examples[index].size > step_tokens:
                    made.append([])
                made[-1].append(index)
            rng.shuffle(made)
            batches += made
        return batches

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = random.Random(self._seed * 1_000_003 + number)
        return self._make([self._examples[i] for i in self._plan[number]], rng).as_dict()
