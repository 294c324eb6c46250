"""Corpora that linkers are measured on: what exists, how to get it here, and into our own format.

Knows public places and the cache folder; does not know models or scores.
"""

from onegen_el.corpora.convert import Counts, convert
from onegen_el.corpora.fetch import Fetched, fetch
from onegen_el.corpora.registry import Entry, find, read_registry
from onegen_el.corpora.store import cache_folder, located, location

__all__ = [
    "Entry",
    "read_registry",
    "find",
    "cache_folder",
    "located",
    "location",
    "Fetched",
    "fetch",
    "Counts",
    "convert",
]
