"""The entities that can be learned: their texts, and which of them a gold annotation means.

Knows tables of entities and of names; does not know models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from onegen_el.errors import InputError
from onegen_el.knowledge.build import entity_text
from onegen_el.knowledge.sources import read_entities


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entity texts by index, best first; `titles` are what is left when the description is dropped."""

    texts: list[str]
    titles: list[str]
    index: dict[str, int]

    def __len__(self) -> int:
        return len(self.texts)

    def find(self, entity: str | None) -> int:
        """Index of a gold id (QID, `enwiki:Title`, or another known name), -1 if it is none of ours."""
        return self.index.get(entity, -1) if entity else -1


def read_catalog(
    entities: str | Path, links: str | Path = "", template: str = "{title}: {description}"
) -> Catalog:
    """Raises InputError where a table cannot be read."""
    texts, titles, index = [], [], {}
    for number, entity in enumerate(read_entities(Path(entities))):
        texts.append(entity_text(entity, template))
        titles.append(entity.title)
        index[entity.id] = number
    if links:
        try:
            table = pd.read_csv(links, sep="\t", quoting=3, keep_default_na=False, dtype=str)
            pairs = zip(table["name"], table["id"], strict=True)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{links}: not a table of names (columns name, id): {error}") from error
        for name, identifier in pairs:
            if identifier in index:
                index.setdefault(name, index[identifier])
    return Catalog(texts, titles, index)
