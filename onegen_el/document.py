"""The values that cross the package's boundary: entities, candidates, mentions, linked documents.

Knows how they look as dictionaries (the JSONL schema); knows nothing of models, indexes or spaCy.
All offsets are Python code-point offsets into the unchanged text, end exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

WIKIPEDIA = "https://en.wikipedia.org/wiki/"
WIKIDATA = "https://www.wikidata.org/wiki/"
TITLE_PREFIX = "enwiki:"


@dataclass(frozen=True, slots=True)
class Entity:
    """One row of a knowledge base.

    `id` is the Wikidata item (`Q42`) where known, else `enwiki:` plus the Wikipedia title, else any
    string of the user's own; `title` is the name shown to people; `types` starts with the coarse
    type (PER, ORG, LOC, MISC) where one is known; `prior` is a popularity weight, 0 when unknown.
    """

    id: str
    title: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    prior: float = 0.0
    qid: str | None = None
    wikipedia_title: str | None = None

    @property
    def label(self) -> str:
        """Coarse type, "" if unknown."""
        return self.types[0] if self.types and self.types[0] in COARSE_TYPES else ""

    @property
    def url(self) -> str | None:
        """Wikipedia page if known, else the Wikidata item, else None."""
        if self.wikipedia_title:
            return WIKIPEDIA + quote(self.wikipedia_title.replace(" ", "_"), safe="/:@!$&'()*+,;=-._~")
        return WIKIDATA + self.qid if self.qid else None


COARSE_TYPES = frozenset({"PER", "ORG", "LOC", "MISC"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity that was considered for a mention; `score` is comparable within one model only."""

    entity: str
    title: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        return {"entity": self.entity, "title": self.title, "score": self.score}


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of the text and the entity it was linked to (`entity=None`: NIL).

    `score` is the best candidate's score (cosine plus prior, if the model uses one), 0.0 when the
    knowledge base is empty; `detection_score` is the probability of this span's marks.
    """

    start: int
    end: int
    surface: str
    entity: str | None = None
    title: str | None = None
    url: str | None = None
    label: str = ""
    score: float = 0.0
    detection_score: float = 1.0
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "start": self.start,
            "end": self.end,
            "surface": self.surface,
            "entity": self.entity,
            "title": self.title,
            "url": self.url,
            "score": self.score,
            "detection_score": self.detection_score,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """A text with its mentions in text order, none overlapping another."""

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSONL schema of `onegen-el link`, one document."""
        return {
            "id": self.id,
            "text": self.text,
            "mentions": [mention.to_dict() for mention in self.mentions],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> LinkedDocument:
        """Inverse of `to_dict`; raises KeyError if a required field is missing."""
        mentions = tuple(
            Mention(
                **{
                    **mention,
                    "candidates": tuple(Candidate(**c) for c in mention.get("candidates", ())),
                }
            )
            for mention in row["mentions"]
        )
        return cls(id=row["id"], text=row["text"], mentions=mentions)
