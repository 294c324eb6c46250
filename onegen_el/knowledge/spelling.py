"""How alike two names are: one spelling for both, and the edits between them.

Knows strings; knows nothing of knowledge bases.
"""

from __future__ import annotations

import unicodedata

from onegen_el.unicode import encodable

# What is no accent or capital to Unicode, but is typed as if it were.
PLAIN = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"}
    | {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ı": "i"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"}
)
PIECE = 3  # letters


def fold(name: str) -> str:
    """The name without capitals, accents, typographic marks and spaces at its ends or twice over."""
    if not name.isascii():
        letters = unicodedata.normalize("NFKD", encodable(name).translate(PLAIN))
        name = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(name.replace("\0", " ").casefold().split())


def padded(folded: str) -> str:
    """The name with a space at both ends, so that its first and last letters make pieces of their own."""
    return f" {folded} "


def pieces(text: str) -> list[str]:
    """The different pieces of three letters of a text, in order."""
    return list(dict.fromkeys(text[at : at + PIECE] for at in range(len(text) - PIECE + 1)))


def edits_allowed(folded: str) -> int:
    """Edits that may be mistakes of typing in a name of this length."""
    return 0 if len(folded) < 3 else 1 if len(folded) < 6 else 2 if len(folded) < 11 else 3


def distance(left: str, right: str, most: int) -> int:
    """Letters to insert, delete, replace or swap with their neighbour; `most + 1` for more than `most`.

    Optimal string alignment: no piece is edited twice.
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            best = min(last[column] + 1, current[-1] + 1, last[column - 1] + (letter != other))
            if (
                row > 1
                and column > 1
                and letter == right[column - 2]
                and left[row - 2] == other
                and before[column - 2] + 1 < best
            ):
                best = before[column - 2] + 1
            current.append(best)
        if min(current) > most and min(last) > most:
            return most + 1
        before, last = last, current
    return min(last[-1], most + 1)


def distance_within(part: str, name: str, most: int) -> int:
    """The least `distance` of `part` from as many neighbouring words of `name` as it has itself."""
    size = part.count(" ") + 1
    words = name.split()
    runs = (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
    return min((distance(part, run, most) for run in runs), default=most + 1)
