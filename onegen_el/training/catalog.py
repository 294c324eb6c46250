"""The entities that can be learned: their texts, and which of them a gold annotation means.

Knows tables of entities and of names, and knowledge bases; does not know models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from onegen_el.document import TITLE_PREFIX, Entity
from onegen_el.errors import InputError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.knowledge.sources import read_entities
from onegen_el.knowledge.texts import entity_text


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entity texts by index, best first; `titles` are what is left when the description is dropped.

    `kinds` are coarse types ("" = unknown), `aliases` the other names.
    """

    texts: list[str]
    titles: list[str]
    index: dict[str, int]
    kinds: list[str] = field(default_factory=list)
    aliases: list[tuple[str, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def find(self, entity: str | None) -> int:
        """Index of a gold id (QID, `enwiki:Title`, or another known name), -1 if it is none of ours."""
        return self.index.get(entity, -1) if entity else -1


def read_catalog(
    entities: str | Path, links: str | Path = "", template: str = "{title}: {description}"
) -> Catalog:
    """Entities of a table in its order, and the further names of the table `links`.

    Raises InputError where a table cannot be read.
    """
    return _with_links(_catalog(read_entities(Path(entities)), template), links)


def catalog_of_kb(
    kb: KnowledgeBase, template: str = "{title}: {description}", links: str | Path = ""
) -> Catalog:
    """Entities of a knowledge base in its order, which is that of `kb.vectors`, and the names of `links`."""
    return _with_links(_catalog(kb, template), links)


def _with_links(catalog: Catalog, links: str | Path) -> Catalog:
    """Raises InputError where the table of further names cannot be read."""
    if links:
        try:
            table = pd.read_csv(links, sep="\t", quoting=3, keep_default_na=False, dtype=str)
            pairs = zip(table["name"], table["id"], strict=True)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{links}: not a table of names (columns name, id): {error}") from error
        for name, identifier in pairs:
            if identifier in catalog.index:
                catalog.index.setdefault(name, catalog.index[identifier])
    return catalog


def _catalog(entities: Iterable[Entity], template: str) -> Catalog:
    """Entities are found by their id, and by `enwiki:` and their page's title if that is no other's id."""
    texts, titles, index, pages = [], [], {}, {}
    kinds, aliases = [], []
    for number, entity in enumerate(entities):
        texts.append(entity_text(entity, template))
        titles.append(entity.title)
        kinds.append(entity.label)
        aliases.append(entity.aliases)
        index[entity.id] = number
        if entity.wikipedia_title:
            pages[TITLE_PREFIX + entity.wikipedia_title] = number
    return Catalog(texts, titles, pages | index, kinds, aliases)
