"""The grammar of marks: which tokens surround a mention, what is prompted, and the role of every token.

Knows token ids and their order only; does not tokenise and does not know any model. The same layout is
used to train (all tokens given) and to decode (tokens decided one by one), so the two cannot disagree.
Roles and objective: OneGen, arXiv 2409.05152, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Literal

from onegen_el.errors import ModelError

SOURCE, OUTPUT = 0, 1
CASINGS = 3  # lower, Capitalised, ALL CAPS
DEFAULT_POLICY = "default"
POLICY_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Role(IntEnum):
    """What a training token is for: context, next-token prediction, or retrieval."""

    CTX = 0
    GEN = 1
    RET = 2


@dataclass(frozen=True, slots=True)
class Grammar:
    """How a model is prompted and how it marks mentions; stored with the model.

    `positions="aligned"` gives an output token the position of the source token that is copied next, so
    that a window may use all of the model's positions and only the window's own tokens are copied;
    `"sequential"` is what pretrained decoders know: everything that was prompted is copied.
    `attention="prefix"` lets prompt tokens see each other in both directions.
    `token_types="casing"` tells an uncased model lower / Capitalised / ALL CAPS through token types.
    `policies` are marking policies beside the default one (what counts as a mention differs from corpus to
    corpus); each is told to the model by its name and a colon in front of the text.
    """

    open: str = "<MENTION>"
    close: str = "</MENTION>"
    query: str = "[RET]"
    follow_up: str = ""
    entity_token: str = "[RET]"
    prompt_prefix: str = ""
    prompt_suffix: str = ""
    entity_template: str = "{title}: {description}"
    positions: Literal["aligned", "sequential"] = "sequential"
    attention: Literal["causal", "prefix"] = "causal"
    token_types: Literal["none", "casing"] = "none"
    policies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choices = {
            "positions": ("aligned", "sequential"),
            "attention": ("causal", "prefix"),
            "token_types": ("none", "casing"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ModelError(f"grammar: {name}={getattr(self, name)!r}; expected one of {allowed}")
        for name in ("open", "close", "query", "entity_token"):
            if not getattr(self, name):
                raise ModelError(f"grammar: {name} is empty")
        for name in self.policies:
            if not POLICY_NAME.fullmatch(name) or name == DEFAULT_POLICY:
                raise ModelError(
                    f"grammar: policy {name!r} must be a name of small letters, other than {DEFAULT_POLICY!r}"
                )

    @property
    def new_tokens(self) -> tuple[str, ...]:
        """Every mark once, in a fixed order."""
        marks = (self.open, self.close, self.query, self.follow_up, self.entity_token)
        return tuple(dict.fromkeys(mark for mark in marks if mark))

    def tag_text(self, policy: str | None) -> str:
        """What is put before a text to be marked by `policy`, "" for the default (None or "default").

        Raises ModelError for a policy that the model was not trained for.
        """
        if policy in (None, DEFAULT_POLICY):
            return ""
        if policy not in self.policies:
            known = ", ".join((DEFAULT_POLICY, *self.policies))
            raise ModelError(f"policy {policy!r} is not one this model knows; choose one of: {known}")
        return f"{policy}:"

    def to_dict(self) -> dict[str, Any]:
        # Without policies the dictionary, and so the fingerprint, is that of models that never had any.
        row = asdict(self)
        return row if self.policies else {name: row[name] for name in row if name != "policies"}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Grammar:
        """Raises ModelError on a field this version does not know."""
        try:
            return cls(**{**row, "policies": tuple(row.get("policies", ()))})
        except TypeError as error:
            raise ModelError(
                f"grammar: {error}; the model was made by another version of onegen-el"
            ) from error


@dataclass(frozen=True, slots=True)
class MarkIds:
    """A grammar in the ids of one tokenizer; marks may be several tokens long, the query is one."""

    open: tuple[int, ...]
    close: tuple[int, ...]
    query: int
    follow_up: tuple[int, ...]
    entity: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A place where the output may go two ways: copy the next source token or write the tag.

    `at` is the index of the token whose hidden state decides; `wrote_tag` the right answer.
    """

    at: int
    copy: int
    tag: int
    wrote_tag: bool


@dataclass(slots=True)
class Layout:
    """Token ids with position, token type and role each; the growing sequence of one window."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, token: int, position: int, kind: int, role: Role) -> None:
        self.ids.append(token)
        self.positions.append(position)
        self.types.append(kind)
        self.roles.append(role)


def token_type(casing: int, stream: int) -> int:
    """Token type of a token: casing 0-2 in the SOURCE stream is 0-2, in the OUTPUT stream 3-5."""
    return casing + CASINGS * stream


@dataclass(frozen=True, slots=True)
class Prompted:
    """One window as it is put to the model: the source tokens shown and the part to be copied.

    `shown` are indices of the document's tokens in prompt order; `shown[first:last]` is copied. `tag` are the
    tokens that tell the marking policy, between the grammar's prefix and the source.
    """

    ids: Sequence[int]
    casing: Sequence[int]
    breakable: Sequence[bool]
    shown: Sequence[int]
    first: int
    last: int
    tag: tuple[int, ...] = ()


def prompt_layout(marks: MarkIds, window: Prompted, aligned: bool) -> Layout:
    """The prompt: prefix, tag, shown source tokens, suffix; its last token decides the first output token."""
    layout = Layout()
    for token in (*marks.prefix, *window.tag):
        layout.add(token, len(layout), token_type(0, SOURCE), Role.CTX)
    for index in window.shown:
        layout.add(window.ids[index], len(layout), token_type(window.casing[index], SOURCE), Role.CTX)
    for token in marks.suffix:
        layout.add(token, len(layout), token_type(0, SOURCE), Role.CTX)
    if aligned:
        layout.positions[-1] = len(marks.prefix) + len(window.tag) + window.first
    return layout


class OutputWriter:
    """Writes the output of one window after its prompt, token by token, keeping the positions right.

    `at` is the index into `window.shown` of the source token that is copied next.
    """

    def __init__(self, marks: MarkIds, window: Prompted, aligned: bool) -> None:
        self.marks, self.window, self.aligned = marks, window, aligned
        self.at = window.first
        self.layout = prompt_layout(marks, window, aligned)
        self._before = len(marks.prefix) + len(window.tag)  # tokens in front of the source

    @property
    def done(self) -> bool:
        return self.at >= self.window.last

    @property
    def next_copy(self) -> int:
        """Id of the source token that is copied next."""
        return self.window.ids[self.window.shown[self.at]]

    @property
    def may_break(self) -> bool:
        """Whether a mark may stand before the next source token (not inside a word piece)."""
        return self.window.breakable[self.window.shown[self.at]]

    def _add(self, token: int, casing: int, role: Role) -> None:
        position = self._before + self.at if self.aligned else len(self.layout)
        self.layout.add(token, position, token_type(casing, OUTPUT), role)

    def copy(self) -> None:
        index = self.window.shown[self.at]
        self.at += 1
        self._add(self.window.ids[index], self.window.casing[index], Role.GEN)

    def open(self) -> None:
        for token in self.marks.open:
            self._add(token, 0, Role.GEN)

    def close(self) -> int:
        """Writes the close mark, the query token and its follow-up; returns the index of the query token."""
        for token in self.marks.close:
            self._add(token, 0, Role.GEN)
        self._add(self.marks.query, 0, Role.RET)
        query = len(self.layout) - 1
        for token in self.marks.follow_up:
            self._add(token, 0, Role.GEN)
        return query


def annotated_layout(
    marks: MarkIds, window: Prompted, mentions: Sequence[tuple[int, int]], aligned: bool
) -> tuple[Layout, list[Decision], list[int]]:
    """The whole sequence of a window whose mentions are known: layout, decisions, query positions.

    `mentions` are half-open ranges of indices into `window.shown`, sorted, disjoint, inside the copied
    part, and bounded by breakable tokens. Forced tokens (a mark's later tokens, the first token of a
    mention, the query) give no decision.
    """
    writer = OutputWriter(marks, window, aligned)
    decisions: list[Decision] = []
    queries: list[int] = []

    def decide(tag: int, wrote_tag: bool) -> None:
        if not writer.done and writer.may_break:
            decisions.append(Decision(len(writer.layout) - 1, writer.next_copy, tag, wrote_tag))

    waiting = iter(mentions)
    mention = next(waiting, None)
    while not writer.done:
        starts = mention is not None and mention[0] == writer.at
        decide(marks.open[0], starts)
        if not starts or mention is None:
            writer.copy()
            continue
        writer.open()
        writer.copy()
        while writer.at < mention[1]:
            decide(marks.close[0], False)
            writer.copy()
        decide(marks.close[0], True)
        queries.append(writer.close())
        mention = next(waiting, None)
    return writer.layout, decisions, queries
