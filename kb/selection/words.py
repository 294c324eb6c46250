"""Words about an entity: short descriptions and further names. Knows texts and types, no ranks."""

from __future__ import annotations

import re

import pandas as pd

from .admission import COARSE
from .rules import Rules
from .tables import as_lists

# Finer types that tell nothing, or that their sources give wrongly (insect, eukaryote).
GENERIC = re.compile(
    "human|person|people|agent|organi[sz]ation|place|thing|entity|insect|eukaryote|animal|species"
    "|human settlement|populated place|office holder|city/town|city or town|big city|million city",
    re.IGNORECASE,
)
# A description that was cut must not end in one of these.
DANGLING = (
    r"(?:[\s,;:(–-]+(?:a|an|the|of|in|on|at|by|for|from|to|and|or|with|as|that|which|who|whom|whose|where|when"
    r"|is|was|are|were|its|his|her|their|between|near|into|also|most|one))+$"
)
# What joins a further clause to a phrase, and what opens its last part.
JOINTS = frozenset(["and", "or", "which", "who", "that", "where", "when"])
OPENERS = frozenset(["in", "on", "at", "by", "for", "from", "to", "with", "as"])
SECOND_SENTENCE = r"\.\s+(?:The|It|He|She|They|This|Its|His|Her)\b.*$"
PHRASE_OPENERS = frozenset({"near", "in", "at", "by", "from", "of", "part", "a", "an", "this", "that"})


def unbroken(phrase: str) -> str:
    """A phrase without its last clause: from the last comma, else the first joint, else the last opener on.

    Three words stay before a comma or an opener, four before a joint ("capital and largest city").
    """
    head, comma, _ = phrase.rpartition(",")
    if comma and head.count(" ") >= 2:
        return head
    words = phrase.split(" ")
    joints = [place for place, word in enumerate(words) if word in JOINTS and place >= 4]
    openers = [place for place, word in enumerate(words) if word in OPENERS and place >= 3]
    end = min(joints) if joints else max(openers, default=len(words))
    return " ".join(words[:end])


def described(rows: pd.DataFrame, rules: Rules) -> pd.Series:
    """Short descriptions; where none is known, one from the finer types or the title's bracket, else null."""
    text = rows["description"].str.replace("[\\u200b\\u200e\\u200f\\ufeff]", "", regex=True)
    text = text.str.replace(SECOND_SENTENCE, "", regex=True).str.replace(r"\s+", " ", regex=True)
    words = text.str.strip(" ,;:.").str.split(" ")
    text = words.str[: rules.description_words].str.join(" ")
    # A phrase that fills the limit was cut there: leave out its unfinished clause.
    full = words.str.len() >= rules.description_words
    whole = text[full].map(unbroken)
    text = text.mask(full, whole.reindex(text.index))
    text = text.str.replace(DANGLING, "", regex=True).str.strip(" ,;:.(-–")
    text = text.where(text.str.contains("[^\\W\\d_]{2}", regex=True, na=False))
    finer = [
        next((kind for kind in kinds if kind not in COARSE and not GENERIC.fullmatch(kind)), None)
        for kinds in as_lists(rows["types"])
    ]
    bracket = rows["title"].str.extract(r"\(([^()]*[^\W\d_]{2}[^()]*)\)$", expand=False)
    return text.fillna(pd.Series(finer, index=rows.index, dtype=object)).fillna(bracket)


def other_names(rows: pd.DataFrame, rules: Rules) -> list[list[str]]:
    """Aliases worth keeping: names, most frequent first, without the title itself, phrases and flags."""
    plain = rows["title"].str.replace(r"\s*\([^()]*\)$", "", regex=True)
    result = []
    for label, title, names in zip(rows["label"], plain, as_lists(rows["aliases"]), strict=True):
        kept: dict[str, str] = {}
        for name in [title, *names] if isinstance(title, str) else names:
            if name.casefold() != label.casefold() and is_name(name, rules):
                kept.setdefault(name.casefold(), name)
        result.append(list(kept.values())[: rules.alias_count])
    return result


def is_name(text: str, rules: Rules) -> bool:
    """Whether an alias can be a name: short, with letters, not a phrase such as "near Carano"."""
    words = text.split()
    # Aliases all in lower case repeat a name or are common nouns.
    if len(text) > rules.alias_length or not 0 < len(words) <= 8 or text == text.lower():
        return False
    return len(words) == 1 or words[0] not in PHRASE_OPENERS
