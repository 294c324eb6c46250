"""The knowledge base: a folder of entities (SQLite), their vectors and, for large ones, a search graph."""

from onegen_el.knowledge.build import Built, build_kb
from onegen_el.knowledge.compact import compact_kb
from onegen_el.knowledge.edit import add_entities, remove_entities
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.manifest import KBManifest
from onegen_el.knowledge.sources import entity_of, read_entities
from onegen_el.knowledge.texts import entity_text
from onegen_el.knowledge.vectors import Hits, VectorIndex

__all__ = [
    "Built",
    "EntityTable",
    "Hits",
    "KBManifest",
    "KnowledgeBase",
    "VectorIndex",
    "add_entities",
    "build_kb",
    "compact_kb",
    "entity_of",
    "entity_text",
    "read_entities",
    "remove_entities",
]
