"""Linked documents of arbitrary Unicode, for the tests of what is made from them."""

from __future__ import annotations

from hypothesis import strategies as st

from onegen_el.document import Candidate, LinkedDocument, Mention

# Every code point: lone surrogates, controls, combining marks, line separators, bidi marks, emoji.
CHARACTERS = st.one_of(
    st.characters(exclude_categories=()),
    st.sampled_from("\ud800\udfff\0\x1b\x9b\x85\u2028\u2029\r\n\t\"'\\<>&[]{}|^` =;,#%\ufeff\u0301\u202e👩‍é"),
    st.sampled_from("abc XYZ."),
)
TEXTS = st.text(CHARACTERS, max_size=40)
SCORES = st.floats(-1, 1)


@st.composite
def documents(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> LinkedDocument:
    """A document whose mentions are in order, not empty, and do not overlap."""
    text = draw(texts)
    bounds = draw(st.sets(st.integers(0, len(text)), max_size=8).map(sorted))
    mentions = []
    for start, end in zip(bounds[::2], bounds[1::2], strict=False):
        entity = draw(
            st.none() | st.sampled_from(["Q42", 'enwiki:Café "Z" <x>', "http://kb.org/é%41"]) | TEXTS
        )
        mentions.append(
            Mention(
                start=start,
                end=end,
                surface=text[start:end],
                entity=entity or None,
                title=draw(st.none() | TEXTS) if entity else None,
                url=draw(st.sampled_from([None, 'https://example.org/a?b="c"&d', "javascript:alert(1)"])),
                label=draw(st.sampled_from(["", "PER", "LOC", "<i>"])),
                score=draw(SCORES),
                detection_score=draw(SCORES),
                candidates=(Candidate("Q42", draw(TEXTS), draw(SCORES)),) if entity else (),
            )
        )
    return LinkedDocument(draw(TEXTS), text, tuple(mentions))
