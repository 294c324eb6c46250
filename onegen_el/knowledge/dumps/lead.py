"""What the head of a page says the page is about: its short description, or its first sentence.

Knows wikitext's ways of beginning an article in English; knows nothing of other sources of descriptions.
"""

from __future__ import annotations

import re

from onegen_el.knowledge.dumps.wikitext import (
    MAGIC_WORD,
    NESTED,
    plain,
    without_links,
    without_tags,
    without_templates,
)

MOST_WORDS = 12
LONGEST_LEAD = 100_000  # characters; heads of articles with large tables have some ten thousand
LONGEST_SENTENCE = 2000  # characters in which the first sentence is looked for
HEADING = re.compile(r"^==", re.MULTILINE)
SHORT = re.compile(
    r"\{\{\s*+short[ _]description\s*+\|([^{}]*+)\}\}|\{\{\s*+SHORTDESC:([^{}]*+)\}\}", re.IGNORECASE
)
NAMED = re.compile(r"\s*(\w+)\s*=\s*(.*)", re.DOTALL)
NOT_PROSE = ("*", "#", ":", ";", "|", "!", "{", "}", "=", "----")
BRACKET = re.compile(r"\s*[(\[][^()\[\]]*+[)\]]")
BEFORE_MARK = re.compile(r"\s++(?=[,.;:])|,(?=\s*[,.;:])")
END = re.compile(r"[.!?][\"”’']?(?=\s+[\"“‘'(]?[A-Z0-9]|\s*$)")
ABBREVIATION = re.compile(
    r"dr|mrs?|ms|st|[js]r|prof|gen|col|lt|capt|sgt|rev|hon|mt|ft|no|vs|ca?|approx|inc|ltd|corp|co|bros|fl|r"
    r"|e\.g|i\.e|u\.[sk]"
)
IS_A = re.compile(r"\b(?:is|was|are|were) (?:an?|the) ")
IS = re.compile(r"\b(?:is|was|are|were) ")
DANGLING = re.compile(
    r"[\s,;:–—-]+(?:an?|the|of|in|on|at|by|for|from|to|and|or|with|as|that|which|who|whose|is|was|its|his|her)$"
    r"|[\s,;:–—-]+$"
)


def lead_of(text: str) -> str:
    """The wikitext before the first heading of a text without what is unshown."""
    heading = HEADING.search(text)
    return text[: min(heading.start() if heading else len(text), LONGEST_LEAD)]


def short_description(lead: str) -> str:
    """What the page's own `{{Short description|...}}` says; "" where it has none or says `none`."""
    found = SHORT.search(lead)
    if not found:
        return ""
    words = None
    for part in (found[1] or found[2] or "").split("|"):
        named = NAMED.fullmatch(part)
        if named and named[1] == "1":
            words = named[2]
        elif not named and words is None:
            words = part
    words = plain(words or "")
    return "" if words.lower() == "none" else words


def first_paragraph(lead: str) -> str:
    """The first paragraph of prose as it is shown; "" where there is none."""
    shown = without_tags(MAGIC_WORD.sub("", without_links(without_templates(lead))))
    for block in re.split(r"\n\s*\n", shown):
        lines = [line.strip() for line in block.splitlines()]
        prose = plain(" ".join(line for line in lines if line and not line.startswith(NOT_PROSE)))
        if any(letter.isalpha() for letter in prose):
            return prose
    return ""


def description_of(paragraph: str) -> str:
    """What the first sentence says the subject is, at most MOST_WORDS words: `city in Germany`.

    That is what follows its first "is a"; the beginning of the sentence where there is no such word.
    """
    sentence = _first_sentence(_without_brackets(paragraph[:LONGEST_SENTENCE]))
    copula = IS_A.search(sentence) or IS.search(sentence)
    words = sentence[copula.end() if copula else 0 :].split()
    said = " ".join(words[:MOST_WORDS])
    if len(words) > MOST_WORDS:
        while shorter := DANGLING.sub("", said):
            if shorter == said:
                break
            said = shorter
    return said.rstrip(".!?,;: ")


def _without_brackets(text: str) -> str:
    for _ in range(NESTED):
        text = BRACKET.sub("", text)
    return BEFORE_MARK.sub("", BEFORE_MARK.sub("", text))


def _first_sentence(text: str) -> str:
    for end in END.finditer(text):
        word = text[text.rfind(" ", 0, end.start()) + 1 : end.start()].lstrip("\"“‘'")
        is_initial = len(word) == 1 and word.isupper()
        if not (end[0].startswith(".") and (is_initial or ABBREVIATION.fullmatch(word.lower()))):
            return text[: end.end()]
    return text
