"""ELEVANT's scores: each of its rules on a case worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation
from onegen_el.evaluation.elevant_scores import (
    ElevantScores,
    Label,
    LabelledDocument,
    elevant_scores,
    is_coreference,
    labels_of,
    read_labels,
    widened,
)
from onegen_el.evaluation.gerbil import evaluate
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import PERFECT, ZERO
from onegen_el.gold import GoldDocument, GoldMention, read_elevant

WIKIDATA, NIL = "http://www.wikidata.org/entity/", "http://aksw.org/notInWiki/x"
TEXT = "aa, bb, cc dd; ee."
AA, BB, CC, DD, EE = (0, 2), (4, 6), (8, 10), (11, 13), (15, 17)
ALL, BB_CC, CC_DD = (0, 13), (4, 10), (8, 13)

Span = tuple[int, int]


def a(span: Span, entity: int | None) -> Annotation:
    return Annotation(*span, frozenset({f"{WIKIDATA}Q{entity}" if entity else NIL}))


def label(
    number: int, span: Span, entity: int | None, parent: int | None = None, **more: bool | None
) -> Label:
    return Label(number, a(span, entity), parent=parent, **more)  # type: ignore[arg-type]


def run(
    labels: list[Label], answers: list[Annotation], text: str = TEXT, scope: Span | None = None
) -> ElevantScores:
    document = LabelledDocument("1", text, tuple(labels), scope or (0, len(text)))
    return elevant_scores([document], [AnnotatedDocument("1", text, tuple(answers))])


def both(counts: Counts) -> ElevantScores:
    """Without coreference, and with recognition like linking."""
    return ElevantScores(counts, counts, counts)


@pytest.mark.parametrize(
    ("wanted", "given_", "linking", "recognition"),
    [
        # Gold, answer (0: no such mention, None: a NIL): rules 4, 5 and 7.
        (1, 1, Counts(tp=1), Counts(tp=1)),
        (1, 2, Counts(fp=1, fn=1), Counts(tp=1)),
        (1, None, Counts(fn=1), Counts(fn=1)),
        (1, 0, Counts(fn=1), Counts(fn=1)),
        (None, 1, Counts(fp=1), Counts(fp=1)),
        (None, None, Counts(), Counts()),
        (None, 0, Counts(), Counts()),
        (0, 1, Counts(fp=1), Counts(fp=1)),
        (0, None, Counts(), Counts()),
    ],
)
def test_required_labels(
    wanted: int | None, given_: int | None, linking: Counts, recognition: Counts
) -> None:
    labels = [] if wanted == 0 else [label(0, AA, wanted)]
    answers = [] if given_ == 0 else [a(AA, given_)]
    assert run(labels, answers) == ElevantScores(linking, linking, recognition)


@pytest.mark.parametrize(
    ("wanted", "given_", "linking", "recognition"),
    [
        (1, 1, Counts(), Counts()),
        (1, 2, Counts(fp=1), Counts()),
        (1, None, Counts(), Counts()),
        (1, 0, Counts(), Counts()),
        (None, 1, Counts(fp=1), Counts(fp=1)),
        (None, None, Counts(), Counts()),
    ],
)
def test_optional_labels(
    wanted: int | None, given_: int | None, linking: Counts, recognition: Counts
) -> None:
    answers = [] if given_ == 0 else [a(AA, given_)]
    found = run([label(0, AA, wanted, optional=True)], answers)
    assert found == ElevantScores(linking, linking, recognition)


def test_dates_and_quantities_are_optional() -> None:
    assert run([label(0, AA, 1, value=True)], []) == both(Counts())
    assert run([label(0, AA, 1, value=True)], [a(AA, 1)]) == both(Counts())
    # Any other entity is wrong, but not as a mention.
    assert run([label(0, AA, None, value=True)], [a(AA, 2)]) == ElevantScores(
        Counts(fp=1), Counts(fp=1), Counts()
    )


@pytest.mark.parametrize(
    ("text", "span", "wide"),
    [
        ("Emma's home is Ulm.", (0, 4), (0, 6)),  # an apostrophe is of the word
        ("Ulm-born", (0, 3), (0, 3)),  # a hyphen is not
        ("in Neu_Ulm.", (7, 10), (3, 10)),
        ('"Two Towers" was read', (1, 11), (0, 12)),
        ('he said: "Two Towers fell', (10, 13), (10, 13)),  # a quote that is not closed inside
        ("so Ulm", (3, 5), (3, 5)),  # the last character is never reached from the left
        ("so Ulms.", (3, 5), (3, 7)),
    ],
)
def test_words(text: str, span: Span, wide: Span) -> None:
    assert widened(span, text) == wide


def test_parts_of_words_match_whole_words() -> None:
    text = "Emma's home is Ulm."
    # Gold "Emma", answer "Emma's", and the other way round.
    assert run([label(0, (0, 4), 1)], [a((0, 6), 1)], text) == both(Counts(tp=1))
    assert run([label(0, (0, 6), 1)], [a((0, 4), 1)], text) == both(Counts(tp=1))
    # More words are another span.
    assert run([label(0, (0, 4), 1)], [a((0, 11), 1)], text) == both(Counts(fp=1, fn=1))


def test_one_answer_serves_labels_on_the_same_word() -> None:
    # Of two labels on a span the answer hits the one and is wrong for the other.
    found = run([label(0, AA, 1), label(1, AA, 2)], [a(AA, 1)])
    assert found.all == Counts(tp=1, fp=1, fn=1)


def test_of_answers_on_one_span_the_last_stands() -> None:
    assert run([label(0, AA, 1)], [a(AA, 2), a(AA, 1)]) == both(Counts(tp=1))
    # An answer "Emma" widened to "Emma's" takes the place of the answer "Emma's" itself.
    text = "Emma's home is Ulm."
    assert run([label(0, (0, 6), 1)], [a((0, 4), 1), a((0, 6), 2)], text).all == Counts(fp=1, fn=1)
    assert run([label(0, (0, 6), 1)], [a((0, 4), 2), a((0, 5), 1)], text).all == Counts(tp=1)
    # The very span goes before the word.
    assert run([label(0, (0, 4), 2)], [a((0, 4), 2), a((0, 5), 1)], text).all == Counts(tp=1)


def test_only_false_detections_depend_on_the_scope() -> None:
    labels = [label(0, AA, 1), label(1, DD, 4)]
    found = run(labels, [a(AA, 1), a(BB, 2), a(CC, 3)], scope=(4, 10))
    # bb and cc are false; aa, though outside, is right, dd is missed.
    assert found == both(Counts(tp=1, fp=2, fn=1))
    assert run(labels, [a(AA, 1), a(EE, 5)], scope=(4, 10)) == both(Counts(tp=1, fn=1))


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        ("he", True),
        ("It", True),
        ("IT", False),  # a name
        ("I", True),
        ("the band", True),
        ("The Band", False),
        ("her 2", True),  # a digit is no capital
        ("the ", False),
        ("theatre", False),
        ("Those", False),
    ],
)
def test_words_of_coreference(surface: str, expected: bool) -> None:
    assert is_coreference(surface) is expected


def test_coreference_counts_in_all_alone() -> None:
    text = "Ann met the mayor and he left."
    mayor, he = (8, 17), (22, 24)
    found = run([label(0, mayor, 1), label(1, he, 1)], [a(mayor, 2)], text)
    assert found == ElevantScores(Counts(fp=1, fn=2), Counts(), Counts())
    # What the label says stands above its words, in both directions.
    said = run([label(0, mayor, 1, coref=False), label(1, (0, 3), 2, coref=True)], [], text)
    assert said == ElevantScores(Counts(fn=2), Counts(fn=1), Counts(fn=1))
    # A false detection goes by its words.
    assert run([], [a(he, 1), a((0, 3), 2)], text) == ElevantScores(Counts(fp=2), Counts(fp=1), Counts(fp=1))


TREE = [label(0, ALL, 1), label(1, AA, 2, 0), label(2, BB_CC, 3, 0), label(3, BB, 4, 2), label(4, CC, 5, 2)]


def test_the_whole_or_its_parts() -> None:
    # The whole: its parts do not count, so answering one of them too with a wrong entity costs nothing.
    assert run(TREE, [a(ALL, 1)]) == both(Counts(tp=1))
    assert run(TREE, [a(ALL, 1), a(AA, 9)]) == both(Counts(tp=1))
    # All its parts, at either depth, are one true positive.
    assert run(TREE, [a(AA, 2), a(BB_CC, 3)]) == both(Counts(tp=1))
    assert run(TREE, [a(AA, 2), a(BB, 4), a(CC, 5)]) == both(Counts(tp=1))
    # A missing part makes the whole missed, and only that: one miss for the tree.
    assert run(TREE, [a(AA, 2)]) == both(Counts(fn=1))
    assert run(TREE, [a(AA, 2), a(BB, 4)]) == both(Counts(fn=1))
    assert run(TREE, []) == both(Counts(fn=1))


def test_wrong_entities_in_a_tree() -> None:
    # aa is wrong: a false positive, and the tree is missed; the mentions are all found.
    found = run(TREE, [a(AA, 9), a(BB_CC, 3)])
    assert found == ElevantScores(Counts(fp=1, fn=1), Counts(fp=1, fn=1), Counts(tp=1))
    # The whole with a wrong entity, no part: as any label.
    found = run(TREE, [a(ALL, 9)])
    assert found == ElevantScores(Counts(fp=1, fn=1), Counts(fp=1, fn=1), Counts(tp=1))
    # The whole wrong and all parts right: the parts count, the whole not.
    assert run(TREE, [a(ALL, 9), a(AA, 2), a(BB_CC, 3)]) == both(Counts(tp=1))


def test_a_wrong_optional_part_spoils_the_whole() -> None:
    # bb is optional, so not missed, but wrong: the tree is neither right nor missed.
    labels = [label(0, ALL, 1), label(1, AA, 2, 0), label(2, BB, 3, 0, optional=True)]
    assert run(labels, [a(AA, 2), a(BB, 9)]) == ElevantScores(Counts(fp=1), Counts(fp=1), Counts(tp=1))


def test_an_optional_part_is_not_missed_whatever_is_below() -> None:
    # Only a root that is optional can be missed for a part that is not.
    labels = [label(0, ALL, 1), label(1, AA, 2, 0), label(2, BB_CC, 3, 0, optional=True), label(3, BB, 4, 2)]
    assert run(labels, [a(AA, 2)]) == both(Counts(tp=1))


def test_alternatives_on_one_span() -> None:
    # Two readings of the same words, the second as a child.
    labels = [label(0, AA, 1), label(1, AA, 2, 0)]
    assert run(labels, [a(AA, 1)]) == both(Counts(tp=1))
    assert run(labels, [a(AA, 2)]) == both(Counts(tp=1))
    # Neither: one mistake, not two.
    assert run(labels, [a(AA, 3)]).all == Counts(fp=1, fn=1)


def test_an_optional_whole_with_a_part_that_is_not() -> None:
    part = label(1, AA, 2, 0)
    assert run([label(0, ALL, 1, optional=True), part], []) == both(Counts(fn=1))
    assert run([label(0, ALL, 1, optional=True), label(1, AA, 2, 0, optional=True)], []) == both(Counts())
    assert run([label(0, ALL, 1, optional=True), part], [a(ALL, 1)]) == both(Counts())


def test_measures_have_no_perfect_nothing() -> None:
    nothing = run([], [])
    assert set(nothing.measures.values()) == {ZERO}
    found = run([label(0, AA, 1), label(1, BB, 2)], [a(AA, 1), a(CC, 3), a(DD, 4)])
    # 1 of 3 answers right, 1 of 2 labels found: F1 = 2 / (2 + 2 + 1).
    assert found.to_dict()["all"] == {
        "precision": pytest.approx(1 / 3),
        "recall": 0.5,
        "f1": pytest.approx(2 / 5),
    }


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "benchmark.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_reading_labels(tmp_path: Path) -> None:
    rows = [
        {"id": 0, "span": [0, 13], "entity_id": "Q1", "name": "x", "children": [1]},
        {"id": 1, "span": [0, 2], "entity_id": "Q2", "parent": 0, "desc": True},
        {"id": 2, "span": [4, 6], "entity_id": "<NIL>", "type": "Q5|DATETIME"},
        {"id": 3, "span": [8, 10], "entity_id": "Unknown4", "coref": True, "optional": True},
    ]
    path = write(tmp_path, {"id": 7, "text": TEXT, "labels": rows, "evaluation_span": [0, 10]})
    (document,) = read_labels(path)
    assert (document.id, document.text, document.scope) == ("7", TEXT, (0, 10))
    whole, part, date, pronoun = document.labels
    assert whole.annotation == a(ALL, 1)
    assert (part.parent, part.optional) == (0, True)
    assert (date.value, WIKIDATA in min(date.annotation.uris)) == (True, False)
    assert (pronoun.coref, pronoun.optional, WIKIDATA in min(pronoun.annotation.uris)) == (True, True, False)
    answers = [AnnotatedDocument("7", TEXT, (a(ALL, 1), a(CC, 4)))]
    # cc has a label without entity, whatever its number.
    assert elevant_scores([document], answers).all == Counts(tp=1, fp=1)


@pytest.mark.parametrize(
    "labels",
    [
        [{"id": 0, "span": [0, 99], "entity_id": "Q1"}],
        [{"id": 0, "span": [0, 2], "entity_id": 1}],
        [{"span": [0, 2], "entity_id": "Q1"}],
        [{"id": 0, "span": [0, 2], "entity_id": "Q1", "parent": 5}],
        [{"id": 0, "span": [0, 2], "entity_id": "Q1", "parent": 0}],
        [{"id": 0, "span": [0, 2], "entity_id": "Q1"}, {"id": 0, "span": [4, 6], "entity_id": "Q1"}],
    ],
)
def test_rows_that_are_no_labels(tmp_path: Path, labels: list[dict[str, Any]]) -> None:
    path = write(tmp_path, {"id": 1, "text": TEXT, "labels": labels})
    with pytest.raises(InputError, match=r"benchmark\.jsonl, line 1"):
        list(read_labels(path))


def test_gold_of_any_format() -> None:
    document = GoldDocument(
        "1",
        TEXT,
        (GoldMention(*AA, "Q1"), GoldMention(*BB, None), GoldMention(*CC, "Q3", optional=True)),
        (0, 13),
    )
    labelled = labels_of(document)
    assert labelled.scope == (0, 13)
    found = elevant_scores(
        [labelled], [AnnotatedDocument("1", TEXT, (a(AA, 1), a(BB, 2), a(CC, 3), a(EE, 5)))]
    )
    assert found == both(Counts(tp=1, fp=1))


def test_a_reader_of_gold_and_of_labels_agree_on_plain_rows(tmp_path: Path) -> None:
    rows = [
        {"id": 0, "span": list(AA), "entity_id": "Q1", "name": "x"},
        {"id": 1, "span": list(BB), "entity_id": "Unknown", "name": "x"},
        {"id": 2, "span": list(CC), "entity_id": "Q3", "name": "x", "optional": True},
    ]
    path = write(tmp_path, {"id": 7, "text": TEXT, "labels": rows})
    answers = [AnnotatedDocument("7", TEXT, (a(AA, 1), a(BB, 2), a(CC, 4)))]
    from_gold = elevant_scores([labels_of(document) for document in read_elevant(path)], answers)
    assert from_gold == elevant_scores(list(read_labels(path)), answers)


def test_what_does_not_belong_together() -> None:
    document = LabelledDocument("1", TEXT, (label(0, AA, 1),), (0, 13))
    with pytest.raises(InputError, match="'1' in gold and '2'"):
        elevant_scores([document], [AnnotatedDocument("2", TEXT)])
    assert elevant_scores([document], [None]) == both(Counts(fn=1))


WORDS = st.dictionaries(st.sampled_from([AA, BB, CC, DD, EE]), st.sampled_from([1, 2, None]))


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_on_whole_words_with_one_label_each_it_is_gerbils_in_kb(
    corpus: list[tuple[dict[Span, int | None], dict[Span, int | None]]], random: Random
) -> None:
    gold, labelled, system = [], [], []
    for number, (wanted, answered) in enumerate(corpus):
        annotations = tuple(a(span, entity) for span, entity in wanted.items())
        gold.append(AnnotatedDocument(str(number), TEXT, annotations))
        labels = tuple(Label(n, annotation) for n, annotation in enumerate(annotations))
        labelled.append(LabelledDocument(str(number), TEXT, labels, (0, len(TEXT))))
        answers = tuple(a(span, entity) for span, entity in answered.items())
        system.append(AnnotatedDocument(str(number), TEXT, answers))
    classes = evaluate(gold, system).main.classes
    found = elevant_scores(labelled, system)
    assert found.all == found.entity == (classes["InKB"].counts if "InKB" in classes else Counts())
    order = random.sample(range(len(corpus)), len(corpus))
    assert elevant_scores([labelled[n] for n in order], [system[n] for n in order]) == found


@given(WORDS.filter(lambda words: any(words.values())))
def test_gold_against_itself_is_perfect(words: dict[Span, int | None]) -> None:
    annotations = [a(span, entity) for span, entity in words.items()]
    found = run([Label(n, annotation) for n, annotation in enumerate(annotations)], annotations)
    assert set(found.measures.values()) == {PERFECT}
