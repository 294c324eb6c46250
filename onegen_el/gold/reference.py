"""Training rows of the paper's reference implementation (github.com/zjunlp/OneGen, entity linking).

Knows rows {"messages": [user, assistant], "positive": [[uid]], "negative": [[uid]]}: the assistant's content
is the text with marks, `<MENTION>name</MENTION>[LK][_CONTINUE_]`, and the lists have one member a mention,
in order; they stand in the assistant's message or in the row. The prompt (user, system) is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention, gold_document
from onegen_el.gold.lines import json_rows, stem

OPEN, CLOSE = "<MENTION>", "</MENTION>"
MARKS = re.compile(r"<MENTION>|</MENTION>(?:\[LK\])?(?:\[_CONTINUE_\])?|\[LK\]|\[_CONTINUE_\]")
SENTENCE = re.compile(r"-[0-9]+")
EXPECTED = (
    '{"messages": [{"role": "user", "content"}, {"role": "assistant", "content": '
    '"... <MENTION>name</MENTION>[LK][_CONTINUE_] ...", "positive": [["Q42"]], "negative": [["Q1", "Q2"]]}]}'
)


def read_reference(path: str | Path) -> Iterator[GoldDocument]:
    """Documents of the reference's train.jsonl, plain or `.gz`.

    The first positive id is the entity, an empty list is NIL; ids lose their sentence number (`Q42-0`).
    Negatives that are a positive of the same mention are left out. A row without `id` or `uid` is named
    by file and line. Raises InputError naming file and line where a row is not of the format.
    """
    path = Path(path)

    def document(row: dict[str, Any], number: int) -> GoldDocument:
        answers = [message for message in row["messages"] if message["role"] == "assistant"]
        if len(answers) != 1:
            raise ValueError(f"{len(answers)} messages of the assistant")
        answer = answers[0]
        text, spans = unmarked(answer["content"])
        positives = _lists(answer.get("positive", row.get("positive")), "positive", len(spans))
        negatives = answer.get("negative", row.get("negative"))
        avoided = _lists([[]] * len(spans) if negatives is None else negatives, "negative", len(spans))
        mentions = [
            GoldMention(
                start=start,
                end=end,
                entity=None if not right or right[0] in NIL_IDS else right[0],
                negatives=tuple(dict.fromkeys(uid for uid in wrong if uid not in right)),
            )
            for (start, end), right, wrong in zip(spans, positives, avoided, strict=True)
        ]
        return gold_document(str(row.get("id", row.get("uid", f"{stem(path)}:{number}"))), text, mentions)

    yield from json_rows(path, document, "a training row of the reference", EXPECTED)


def unmarked(content: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without marks and the spans of its mentions, in code points.

    Raises ValueError where marks are nested, not closed, around nothing, or stand by themselves.
    """
    if not isinstance(content, str):
        raise TypeError(f"content is {content!r}")
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    start: int | None = None
    copied = length = 0
    for mark in MARKS.finditer(content):
        parts.append(content[copied : mark.start()])
        length += len(parts[-1])
        copied = mark.end()
        if mark[0] == OPEN and start is None:
            start = length
        elif mark[0].startswith(CLOSE) and start is not None and start < length:
            spans.append((start, length))
            start = None
        else:
            raise ValueError(f"mark {mark[0]} at character {mark.start()} of the content is out of place")
    if start is not None:
        raise ValueError(f"the last {OPEN} is not closed")
    return "".join([*parts, content[copied:]]), spans


def entity_id(uid: Any) -> str:
    """A uid (text or number) without the number of the sentence, `-0`; raises TypeError for anything else."""
    if type(uid) not in (str, int):
        raise TypeError(f"uid is {uid!r}")
    name, dash, number = str(uid).rpartition("-")
    return name if name and SENTENCE.fullmatch(dash + number) else str(uid)


def _lists(value: Any, name: str, count: int) -> list[list[str]]:
    """One list of ids a mention; a mention with a single id may have it bare."""
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}")
    if len(value) != count:
        raise ValueError(f"{len(value)} lists of {name} ids for {count} marked mentions")
    return [[entity_id(uid) for uid in (item if isinstance(item, list) else [item])] for item in value]
