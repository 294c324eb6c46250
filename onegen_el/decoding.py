"""Copies windows through the model while it marks mentions: constrained, batched, copy-speculative, lossless.

Knows the grammar's layouts and the backbone's states, mark logits and cache; knows nothing of texts,
tokenizers or entities. `decode` is the product's loop, `decode_naive` the same thing said plainly, kept as
the truth that `decode` is tested against. Decision rule: where a mark may stand (or a mention end), it is
written if its log-odds against copying the next source token are positive; everything else is forced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from onegen_el.backbone import Backbone
from onegen_el.grammar import Decision, Layout, OutputWriter, Prompted, Role, annotated_layout

CHUNK = 12  # tokens drafted a step: more are wasted where a guess is wrong


@dataclass(frozen=True, slots=True)
class Marked:
    """A mention: the half-open range `first`-`last` of indices into `Prompted.shown`.

    `probability` is that of its marks: open, not closing at every place inside where it may, close. Forced
    steps count 1. The bias of the decoding is part of it.
    """

    first: int
    last: int
    probability: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was marked in each window, in order, and what it cost.

    `states[i]` is `[mentions, width]`: the last hidden states of the query tokens of window i. `fed` is the
    number of tokens the model read (padding left out), `steps` the number of its forward passes.
    """

    mentions: list[list[Marked]]
    states: list[Tensor]
    fed: int
    steps: int


@torch.inference_mode()
def decode(
    backbone: Backbone, windows: Sequence[Prompted], *, bias: float = 0.0, chunk: int = CHUNK
) -> Decoded:
    """Marks the mentions of all `windows` as one batch; `bias` is added to the log-odds of opening a mention.

    The next source tokens, with marks where capitals make them likely, are the draft of the output: each
    step feeds up to `chunk` tokens of it a window, takes them up to the first place where the model decides
    otherwise, and overwrites the rest. Raises ValueError if `chunk` is below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: at least one token must be drafted a step")
    unlikely: set[int] = set()
    rows = [_Row(backbone, window, unlikely) for window in windows]
    cache = _RowCache()
    fed = steps = 0
    going = list(rows)
    while True:
        # Backwards, so that the last row, which takes the place of a finished one, is known to go on.
        for index in reversed(range(len(going))):
            if not going[index].draft(chunk):
                going[index] = going[-1]
                going.pop()
                cache.drop(index)
        if not going:
            break
        _step(backbone, going, cache, bias)
        fed += sum(len(row.fed) for row in going)
        steps += 1
    states = [_stacked(backbone, row.states) for row in rows]
    return Decoded([row.mentions for row in rows], states, fed, steps)


@torch.inference_mode()
def decode_naive(backbone: Backbone, windows: Sequence[Prompted], *, bias: float = 0.0) -> Decoded:
    """The same as `decode`, one window after the other and one token a step."""
    marks = backbone.marks
    mentions: list[list[Marked]] = []
    states: list[Tensor] = []
    fed = steps = 0
    for window in windows:
        writer = OutputWriter(marks, window, backbone.aligned)
        reader = _Reader(backbone, writer.layout)
        marked: list[Marked] = []
        queries: list[Tensor] = []
        while not writer.done:
            odds = reader.log_odds(marks.open[0], writer.next_copy) + bias if writer.may_break else -math.inf
            if odds <= 0:
                writer.copy()
                continue
            first, probability = writer.at, _sigmoid(odds)
            writer.open()
            writer.copy()
            while not writer.done:
                if writer.may_break:
                    odds = reader.log_odds(marks.close[0], writer.next_copy)
                    probability *= _sigmoid(abs(odds))
                    if odds > 0:
                        break
                writer.copy()
            marked.append(Marked(first, writer.at, probability))
            queries.append(reader.state(writer.close()))
        mentions.append(marked)
        states.append(_stacked(backbone, queries))
        fed, steps = fed + reader.fed, steps + reader.steps
    return Decoded(mentions, states, fed, steps)


@torch.inference_mode()
def query_states(
    backbone: Backbone, windows: Sequence[Prompted], mentions: Sequence[Sequence[tuple[int, int]]]
) -> list[Tensor]:
    """Query states `[mentions, width]` a window of mentions that are given, in one forward pass.

    `mentions[i]` are half-open ranges of indices into `windows[i].shown`, as in `Marked`. Raises ValueError
    unless they are sorted, disjoint, and inside the copied part.
    """
    states = [_stacked(backbone, []) for _ in windows]
    marked: list[tuple[int, Layout, list[int]]] = []
    for index, (window, spans) in enumerate(zip(windows, mentions, strict=True)):
        if not spans:
            continue
        bounds = [window.first, *(bound for span in spans for bound in span), window.last]
        if bounds != sorted(bounds) or any(first == last for first, last in spans):
            raise ValueError(f"mentions {spans} do not lie in order within {window.first}-{window.last}")
        layout, _, queries = annotated_layout(backbone.marks, window, spans, backbone.aligned)
        marked.append((index, layout, queries))
    if not marked:
        return states
    # What stands after the last query is seen by none.
    parts = [(layout, range(queries[-1] + 1)) for _, layout, queries in marked]
    ids, positions, types = _padded(parts, backbone)
    slots = torch.arange(ids.shape[1], device=ids.device).expand(len(marked), -1)
    prompts = [layout.roles.count(Role.CTX) for _, layout, _ in marked]
    mask = _visible(backbone, slots, prompts, ids.shape[1])
    hidden = backbone.hidden(ids, positions, types, mask)
    for row, (index, _, queries) in enumerate(marked):
        states[index] = hidden[row, queries]
    return states


@dataclass(slots=True)
class _Drafted:
    """A decision of the draft: whether to open a mention (else to close one), at the writer's `place`;
    `query` is the query token that the draft wrote if it guessed a close."""

    decision: Decision
    place: int
    opens: bool
    query: int | None = None


class _Row:
    """One window under way: what is written, how much of it the model has read, what is drafted."""

    def __init__(self, backbone: Backbone, window: Prompted, unlikely: set[int]) -> None:
        self.marks = backbone.marks
        self.writer = OutputWriter(backbone.marks, window, backbone.aligned)
        self.layout = self.writer.layout
        self.prompt = len(self.layout)
        self.unlikely = unlikely  # first tokens of guessed mentions that were none, shared by all rows
        self.read = 0  # so many tokens of the layout are in the cache
        self.fed = range(0)  # tokens that go to the model in this step
        self.drafted: list[_Drafted] = []  # decisions that this step's states allow
        self.ending: int | None = None  # query token of a mention that the window's end would close
        self.opened: int | None = None  # where the mention that is being written begins
        self.probability = 1.0
        self.query: int | None = None  # a query token that the model has not read yet
        self.mentions: list[Marked] = []
        self.states: list[Tensor] = []

    def draft(self, chunk: int) -> bool:
        """Writes on as it guesses the model will, up to a decision; False if nothing is left to read."""
        writer, opened = self.writer, self.opened
        start = max(self.read, self.prompt)
        self.drafted, self.ending = [], None
        while not writer.done:
            # A mention is never empty; and what the model has read to its end is decided already.
            if writer.may_break and writer.at != opened and len(self.layout) > self.read:
                tag = self.marks.open[0] if opened is None else self.marks.close[0]
                full = len(self.layout) - start >= chunk
                guess = not full and self._guess(opened)
                decision = Decision(len(self.layout) - 1, writer.next_copy, tag, wrote_tag=guess)
                self.drafted.append(_Drafted(decision, writer.at, opens=opened is None))
                if full:
                    break
                if guess and opened is None:
                    opened = writer.at
                    writer.open()
                elif guess:
                    opened = None
                    self.drafted[-1].query = writer.close()
                    continue
            writer.copy()
        else:
            if opened is not None:
                self.ending = writer.close()
        # States after the last decision or query are asked for by none, so they are not computed.
        needed = [drafted.decision.at for drafted in self.drafted[-1:]]
        needed += [query for query in (self.query, self.ending) if query is not None]
        self.fed = range(self.read, max(needed, default=self.read - 1) + 1)
        return len(self.fed) > 0

    def _guess(self, opened: int | None) -> bool:
        """Whether a tag is likely here: capitalised words are mentions, but for words that proved none."""
        window, at = self.writer.window, self.writer.at
        cased = window.casing[window.shown[at]] > 0
        if opened is not None:
            return not cased
        follows = at > window.first and window.casing[window.shown[at - 1]] > 0
        return cased and not follows and self.writer.next_copy not in self.unlikely

    def accept(self, odds: Sequence[float]) -> list[int]:
        """Takes the draft up to the first decision that was guessed wrong, decides that one right, and
        takes back the rest; returns the query tokens whose states this step's pass has."""
        queries = [] if self.query is None else [self.query]
        self.read, self.query = self.fed.stop, None
        for drafted, odd in zip(self.drafted, odds, strict=True):
            chosen = _sigmoid(abs(odd))
            self.probability = chosen if self.opened is None else self.probability * chosen
            decision, tag = drafted.decision, odd > 0
            right = tag == decision.wrote_tag
            if not right:
                if self.opened is None and not tag:
                    self.unlikely.add(decision.copy)
                self._take_back(drafted)
            if tag and self.opened is None:
                self.opened = drafted.place
                if not right:
                    self.writer.open()
            elif tag:
                queries += self._closed(drafted.place, drafted.query if right else self.writer.close())
            if not right:
                return queries
        if self.ending is not None:
            queries += self._closed(self.writer.at, self.ending)
        return queries

    def _take_back(self, drafted: _Drafted) -> None:
        self.writer.at = drafted.place
        self.read = drafted.decision.at + 1
        for column in (self.layout.ids, self.layout.positions, self.layout.types, self.layout.roles):
            del column[self.read :]

    def _closed(self, place: int, query: int | None) -> list[int]:
        """Notes the mention that ends before `place`; its query, if the model has read it."""
        assert self.opened is not None
        assert query is not None
        self.mentions.append(Marked(self.opened, place, self.probability))
        self.opened = None
        if query < self.read:
            return [query]
        self.query = query
        return []


class _RowCache(Cache):
    """Keys and values `[rows, heads, slots, size]` of each layer; token i of a row's layout lives in slot i.

    A row that is taken back simply writes its next tokens over the rejected ones, so nothing dead is ever
    kept; `_visible` hides the slots that a row has not reached.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.stored: list[tuple[Tensor, Tensor]] = []
        self.slots = torch.empty(0, 0, dtype=torch.long)  # [rows, tokens] of the coming forward pass
        self.used = 0

    def place(self, slots: Tensor, used: int) -> None:
        """Tells where the tokens of the next forward pass go; they see slots below `used`."""
        self.slots, self.used = slots, used

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if layer_idx == len(self.stored):
            self.stored.append((key_states[:, :, :0], value_states[:, :, :0]))
        if self.stored[layer_idx][0].shape[2] < self.used:
            keys, values = self.stored[layer_idx]
            room = self.used * 5 // 4
            self.stored[layer_idx] = (_longer(keys, room), _longer(values, room))
        rows = torch.arange(len(self.slots), device=self.slots.device)[:, None]
        keys, values = self.stored[layer_idx]
        keys[rows, :, self.slots] = key_states.transpose(1, 2)
        values[rows, :, self.slots] = value_states.transpose(1, 2)
        return keys[:, :, : self.used], values[:, :, : self.used]

    def drop(self, row: int) -> None:
        """Forgets a row; the last one takes its place, so that only one row is moved."""
        for layer, (keys, values) in enumerate(self.stored):
            keys[row], values[row] = keys[-1], values[-1]
            self.stored[layer] = (keys[:-1], values[:-1])


class _Reader:
    """Feeds one layout to the model: the prompt at once, then a token a step, as far as a state is wanted."""

    def __init__(self, backbone: Backbone, layout: Layout) -> None:
        self.backbone, self.layout = backbone, layout
        self.cache = DynamicCache()
        self.prompt = len(layout)
        self.last = torch.empty(0)  # state [width] of the token read last
        self.fed = self.steps = 0

    def state(self, index: int) -> Tensor:
        """State `[width]` of token `index`, which must not lie before the last one asked for."""
        while self.fed <= index:
            end = self.fed + 1 if self.fed else self.prompt
            layout, device = self.layout, self.backbone.device
            ids, positions, types = (
                torch.tensor([column[self.fed : end]], device=device)
                for column in (layout.ids, layout.positions, layout.types)
            )
            mask = torch.ones(1, end - self.fed, end, dtype=torch.bool, device=device)
            if self.backbone.grammar.attention == "causal":
                mask = mask.tril(self.fed)
            self.last = self.backbone.hidden(ids, positions, types, mask, self.cache)[0, -1]
            self.fed, self.steps = end, self.steps + 1
        return self.last

    def log_odds(self, tag: int, copy: int) -> float:
        """Log-odds of `tag` against `copy` after all that is written."""
        state = self.state(len(self.layout) - 1)
        choices = torch.tensor([[copy, tag]], device=self.backbone.device)
        copied, tagged = self.backbone.logits_of(state[None], choices)[0].float().tolist()
        return float(tagged - copied)


def _step(backbone: Backbone, rows: Sequence[_Row], cache: _RowCache, bias: float) -> None:
    """One forward pass over the drafts of all rows; every row takes what it may and gets its query state."""
    ids, positions, types = _padded([(row.layout, row.fed) for row in rows], backbone)
    start = torch.tensor([row.read for row in rows], device=backbone.device)
    slots = start[:, None] + torch.arange(ids.shape[1], device=backbone.device)
    used = max(row.read for row in rows) + ids.shape[1]
    cache.place(slots, used)
    mask = _visible(backbone, slots, [row.prompt for row in rows], used)
    hidden = backbone.hidden(ids, positions, types, mask, cache)

    places = [
        (index, drafted.decision.at - row.read) for index, row in enumerate(rows) for drafted in row.drafted
    ]
    choices = [(drafted.decision.copy, drafted.decision.tag) for row in rows for drafted in row.drafted]
    logits = backbone.logits_of(
        _picked(hidden, places), torch.tensor(choices, device=backbone.device).view(-1, 2).long()
    ).float()
    odds = iter((logits[:, 1] - logits[:, 0]).tolist())  # the one transfer of a step
    asked: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        fed = row.fed.start
        shifts = [bias if drafted.opens else 0.0 for drafted in row.drafted]
        asked += [(index, query - fed) for query in row.accept([next(odds) + shift for shift in shifts])]
    for (index, _), state in zip(asked, _picked(hidden, asked), strict=True):
        rows[index].states.append(state)


def _padded(parts: Sequence[tuple[Layout, range]], backbone: Backbone) -> Tensor:
    """Ids, positions and types `[3, rows, tokens]` of a part of each layout, zeros behind."""
    table = np.zeros((3, len(parts), max(len(part) for _, part in parts)), dtype=np.int64)
    for row, (layout, part) in enumerate(parts):
        for column, values in enumerate((layout.ids, layout.positions, layout.types)):
            table[column, row, : len(part)] = values[part.start : part.stop]
    return torch.from_numpy(table).to(backbone.device)


def _visible(backbone: Backbone, slots: Tensor, prompts: Sequence[int], used: int) -> Tensor:
    """Mask `[rows, tokens, used]`: a token sees its row up to itself, a prompt token all of its prompt."""
    keys = torch.arange(used, device=slots.device)
    seen = keys <= slots[:, :, None]
    if backbone.grammar.attention == "prefix":
        ends = torch.tensor(prompts, device=slots.device)[:, None, None]
        seen |= (slots[:, :, None] < ends) & (keys < ends)
    return seen


def _picked(hidden: Tensor, places: Sequence[tuple[int, int]]) -> Tensor:
    """States `[n, width]` at (row, token) `places` of `hidden` `[rows, tokens, width]`."""
    index = torch.tensor(places, dtype=torch.long, device=hidden.device).view(-1, 2)
    return hidden[index[:, 0], index[:, 1]]


def _longer(part: Tensor, slots: int) -> Tensor:
    # Zeros, not rubbish: hidden slots get weight 0 and 0 x NaN would spoil the sum.
    longer = part.new_zeros(*part.shape[:2], slots, part.shape[3])
    longer[:, :, : part.shape[2]] = part
    return longer


def _stacked(backbone: Backbone, states: Sequence[Tensor]) -> Tensor:
    if states:
        return torch.stack(list(states))
    return torch.empty(0, backbone.lm.config.hidden_size, dtype=backbone.dtype, device=backbone.device)


def _sigmoid(odds: float) -> float:
    """Probability of the way that was taken; never called with negative log-odds, so it cannot overflow."""
    return 1.0 / (1.0 + math.exp(-odds))
