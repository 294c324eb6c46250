"""Annotated documents as people publish them, read into plain values; the gold of training and evaluation.

Knows corpus formats (docs/data-formats.md); does not know models, token sequences or scores.
"""

from onegen_el.gold.aida import read_aida
from onegen_el.gold.conllu import read_conllu
from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention
from onegen_el.gold.elevant import read_elevant
from onegen_el.gold.fishing import read_fishing
from onegen_el.gold.formats import FORMATS, read_gold
from onegen_el.gold.hipe import read_hipe
from onegen_el.gold.linked import read_linked
from onegen_el.gold.nif import read_nif
from onegen_el.gold.reference import read_reference

__all__ = [
    "GoldDocument",
    "GoldMention",
    "NIL_IDS",
    "FORMATS",
    "read_gold",
    "read_elevant",
    "read_linked",
    "read_aida",
    "read_nif",
    "read_conllu",
    "read_hipe",
    "read_fishing",
    "read_reference",
]
