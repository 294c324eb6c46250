"""Names as they are compared. Knows strings only, no tables and no rules."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import pandas as pd

WIKIPEDIA = "enwiki:"
ESCAPE = r"\\u([0-9A-Fa-f]{4})"
BRACKET = r"\s*\(([^()]*)\)$"
SMALL_WORDS = frozenset(("of", "the", "and", "for", "in", "on", "to", "a", "an", "at", "et", "y", "e", "und"))
SMALL_WORDS |= {"de", "la", "du", "des", "der", "von", "del", "di"}


def unescaped(names: pd.Series) -> pd.Series:
    """Names with the JSON escapes that a source left in them as characters."""
    odd = names.str.contains("\\u", regex=False, na=False)
    plain = names[odd].str.replace(ESCAPE, lambda match: chr(int(match[1], 16)), regex=True)
    return names.mask(odd, plain.reindex(names.index))


def spelling_of(titles: pd.Series) -> pd.Series:
    """Wikipedia titles as compared: dashes, apostrophes and composed letters of one kind."""
    plain = titles.str.normalize("NFC").str.replace("[‐‑‒–—−]", "-", regex=True)
    return plain.str.replace("[’‘`]", "'", regex=True).str.replace("_", " ", regex=False)


def bare(titles: pd.Series) -> pd.Series:
    """Titles without the bracket that tells namesakes apart."""
    return titles.str.replace(BRACKET, "", regex=True)


def words_of(names: pd.Series) -> pd.Series:
    """Names as compared: no closing bracket, no case, no punctuation, no leading article."""
    return names.map(_words, na_action="ignore")


# The same million names are compared again and again.
@cache
def _words(name: str) -> str:
    plain = unicodedata.normalize("NFKC", re.sub(BRACKET, "", name)).casefold()
    return re.sub(r"^the (?=\w)", "", re.sub(r"[\W_]+", " ", plain).strip())


def folded(names: pd.Series) -> pd.Series:
    """Names as compared, without accents."""
    return words_of(names.str.normalize("NFKD").str.replace("[\u0300-\u036f]", "", regex=True))


def initials(name: str) -> set[str]:
    """What a name can be shortened to: first letters of its words, with and without the small ones."""
    words = re.findall(r"\w+", name)
    full = "".join(word[0] for word in words)
    short = "".join(word[0] for word in words if word.casefold() not in SMALL_WORDS)
    return {full.casefold(), short.casefold()} if len(words) > 1 else set()
