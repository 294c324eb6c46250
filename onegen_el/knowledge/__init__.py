"""The knowledge base: a folder of entities (SQLite), their vectors and, for large ones, a search graph."""

from onegen_el.knowledge.build import Built, build_kb
from onegen_el.knowledge.entities import EntityTable
from onegen_el.knowledge.kb import KnowledgeBase
from onegen_el.knowledge.manifest import KBManifest
from onegen_el.knowledge.sources import read_entities
from onegen_el.knowledge.texts import entity_text
from onegen_el.knowledge.vectors import Hits, VectorIndex

__all__ = [
    "Built",
    "EntityTable",
    "Hits",
    "KBManifest",
    "KnowledgeBase",
    "VectorIndex",
    "build_kb",
    "entity_text",
    "read_entities",
]
