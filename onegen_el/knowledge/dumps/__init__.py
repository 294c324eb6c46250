"""Entities from the dumps of a Wikipedia and of Wikidata (docs/kb-from-dumps.md)."""

from onegen_el.knowledge.dumps.gather import DumpFiles, Gathered, Progress, Row, gather

__all__ = ["DumpFiles", "Gathered", "Progress", "Row", "gather"]
