"""A spaCy Doc says the same as the linked document it is made of."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from spacy.lang.en import English
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from strategies import documents

import onegen_el.doc
from onegen_el.doc import to_doc
from onegen_el.document import Candidate, LinkedDocument, Mention
from onegen_el.unicode import encodable

VOCAB, ANOTHER_VOCAB = English().vocab, English().vocab


@pytest.fixture
def vocab() -> Vocab:
    return VOCAB


def test_mention_on_token_bounds_is_an_entity(vocab: Vocab) -> None:
    candidates = (Candidate("Q864407", "The Home Depot", 0.75), Candidate("Q5", "Depot", 0.5))
    url = "https://en.wikipedia.org/wiki/The_Home_Depot"
    mention = Mention(4, 14, "Home Depot", "Q864407", "The Home Depot", url, "ORG", 0.75, 0.875, candidates)
    doc = to_doc(LinkedDocument("news", "The Home Depot said.", (mention,)), vocab)
    (ent,) = doc.ents
    assert (ent.text, ent.label_, ent.kb_id_) == ("Home Depot", "ORG", "Q864407")
    assert ent._.onegen == {
        "start_char": 4,
        "end_char": 14,
        "surface": "Home Depot",
        "entity": "Q864407",
        "title": "The Home Depot",
        "url": url,
        "score": 0.75,
        "detection_score": 0.875,
        "candidates": (
            {"entity": "Q864407", "title": "The Home Depot", "score": 0.75},
            {"entity": "Q5", "title": "Depot", "score": 0.5},
        ),
    }
    assert doc._.onegen == {"id": "news", "mentions": (ent._.onegen,), "misaligned": 0, "dropped": 0}


def test_unlinked_mention_without_type(vocab: Vocab) -> None:
    doc = to_doc(LinkedDocument("a", "Zed ran.", (Mention(0, 3, "Zed"),)), vocab)
    assert [(ent.label_, ent.kb_id_) for ent in doc.ents] == [("ENT", "")]


def test_mention_inside_a_token_is_widened_and_counted(vocab: Vocab) -> None:
    doc = to_doc(LinkedDocument("a", "In Londonderry today", (Mention(3, 9, "London", "Q84"),)), vocab)
    (ent,) = doc.ents
    assert (ent.text, ent.kb_id_) == ("Londonderry", "Q84")
    assert (ent._.onegen["start_char"], ent._.onegen["end_char"]) == (3, 9)
    assert (doc._.onegen["misaligned"], doc._.onegen["dropped"]) == (1, 0)


def test_of_two_mentions_in_one_token_the_first_stays_and_the_other_is_counted(vocab: Vocab) -> None:
    mentions = (Mention(0, 6, "London", score=0.1), Mention(6, 11, "derry", score=0.2))
    doc = to_doc(LinkedDocument("a", "Londonderry", mentions), vocab)
    (ent,) = doc.ents
    assert ent._.onegen["surface"] == "London"
    assert (doc._.onegen["misaligned"], doc._.onegen["dropped"]) == (2, 1)
    assert [mention["surface"] for mention in doc._.onegen["mentions"]] == ["London", "derry"]


@given(documents())
def test_text_and_mentions_are_kept_for_any_unicode(document: LinkedDocument) -> None:
    doc = to_doc(document, VOCAB)
    assert doc.text == encodable(document.text)
    assert len(doc.text) == len(document.text)
    facts = doc._.onegen
    assert len(doc.ents) + facts["dropped"] == len(document.mentions) == len(facts["mentions"])
    assert facts["dropped"] <= facts["misaligned"]
    for fact, mention in zip(facts["mentions"], document.mentions, strict=True):
        assert (
            doc.text[fact["start_char"] : fact["end_char"]] == encodable(mention.surface) == fact["surface"]
        )
    for ent in doc.ents:
        # They overlap: a mention may end in the blank after a token, which belongs to no token.
        assert ent.start_char <= ent._.onegen["start_char"] < ent.end_char
        assert ent._.onegen["start_char"] < ent._.onegen["end_char"]
        assert ent._.onegen in facts["mentions"]


@given(documents())
def test_docbin_round_trip_keeps_everything(document: LinkedDocument) -> None:
    doc = to_doc(document, VOCAB)
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (again,) = DocBin(store_user_data=True).from_bytes(data).get_docs(ANOTHER_VOCAB)
    assert again.text == doc.text
    assert again._.onegen == doc._.onegen
    assert [(e.start, e.end, e.label_, e.kb_id_) for e in again.ents] == [
        (e.start, e.end, e.label_, e.kb_id_) for e in doc.ents
    ]
    assert [ent._.onegen for ent in again.ents] == [ent._.onegen for ent in doc.ents]


def test_doc_uses_the_given_vocab_and_one_tokenizer_for_it(vocab: Vocab) -> None:
    doc = to_doc(LinkedDocument("a", "Zed"), vocab)
    assert doc.vocab is vocab
    assert onegen_el.doc._tokenizer(vocab) is onegen_el.doc._tokenizer(vocab)


def test_importing_again_leaves_the_extensions_alone() -> None:
    before = Doc.get_extension("onegen")
    importlib.reload(onegen_el.doc)
    assert Doc.get_extension("onegen") == before


@pytest.mark.parametrize("bounds", [(0, 4), (3, 9), (5, 6)])
def test_mention_outside_the_text_is_an_error(vocab: Vocab, bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not a span of the text"):
        to_doc(LinkedDocument("a", "Zed", (Mention(*bounds, "Zed"),)), vocab)
