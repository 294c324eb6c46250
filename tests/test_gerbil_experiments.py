"""GERBIL's experiments on small documents, every figure worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.document import LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, from_gold, from_linked
from onegen_el.evaluation.gerbil import RECOGNITION, Report, evaluate
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import Measures, Scores
from onegen_el.evaluation.scores import resolver, score
from onegen_el.evaluation.uris import kb_links, title_links
from onegen_el.gold import GoldDocument, GoldMention, read_elevant

WIKIDATA, NIL = "http://www.wikidata.org/entity/", "http://aksw.org/notInWiki/"
ONE, TWO, THREE, FOUR = (0, 3), (5, 8), (10, 13), (15, 18)


def a(span: tuple[int, int], *entities: int | str, score: float | None = None) -> Annotation:
    """Numbers are items of Wikidata, words are NILs, none at all is a bare span."""
    uris = (f"{WIKIDATA}Q{e}" if isinstance(e, int) else NIL + e for e in entities)
    return Annotation(*span, frozenset(uris), score)


def documents(*lists: Sequence[Annotation]) -> list[AnnotatedDocument]:
    return [AnnotatedDocument(str(n), "x" * 20, tuple(items)) for n, items in enumerate(lists)]


def run(
    gold: Sequence[Sequence[Annotation]],
    system: Sequence[Sequence[Annotation]],
    experiment: str = "a2kb",
    match: str = "strong",
    oddities: bool = True,
) -> Report:
    return evaluate(documents(*gold), documents(*system), experiment, match, oddities)


def micro(scores: Scores) -> tuple[float, float, float]:
    return scores.micro.precision, scores.micro.recall, scores.micro.f1


def means(scores: Scores) -> tuple[float, float, float]:
    return scores.macro.precision, scores.macro.recall, scores.macro.f1


GOLD = [[a(ONE, 1), a(TWO, 2), a(THREE, "Zeb")], [a(ONE, 1)]]
ANSWERS = [[a(ONE, 1), a(TWO, 9), a(THREE, "somebody"), a(FOUR, 3)], []]


def test_a2kb_with_its_classes() -> None:
    main = run(GOLD, ANSWERS).main
    # Document 1: Q1 and the NIL are right; Q9 and Q3 are wrong, Q2 is missed. Document 2: Q1 is missed.
    assert main.overall.documents == (Counts(2, 2, 1), Counts(0, 0, 1))
    # tp 2, fp 2, fn 2
    assert micro(main.overall) == (0.5, 0.5, 0.5)
    # P (1/2 + 0)/2, R (2/3 + 0)/2, F (4/7 + 0)/2
    assert means(main.overall) == pytest.approx((1 / 4, 1 / 3, 2 / 7))
    # InKB: gold Q1, Q2 against Q1, Q9, Q3: tp 1, fp 2, fn 1; document 2: fn 1. GSInKB is never in A2KB.
    assert list(main.classes) == ["InKB", "EE"]
    assert micro(main.classes["InKB"]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    # P (1/3 + 0)/2, R (1/2 + 0)/2, F (2/5 + 0)/2
    assert means(main.classes["InKB"]) == pytest.approx((1 / 6, 1 / 4, 1 / 5))
    # EE: one NIL, found; document 2 has none on either side, which is 1.
    assert micro(main.classes["EE"]) == means(main.classes["EE"]) == (1, 1, 1)
    assert main.threshold == 0


def test_a2kb_has_two_sub_experiments_on_its_own_lists() -> None:
    report = run(GOLD, ANSWERS)
    # Recognition: three of four spans are right, document 2's is missed: tp 3, fp 1, fn 1.
    recognition = report.part(RECOGNITION)
    assert micro(recognition.overall) == (3 / 4, 3 / 4, 3 / 4)
    assert recognition.classes == {}
    # D2KB: Q3 lies on no gold span and is dropped. tp 2, fp 1, fn 1 + 1: P 2/3, R 1/2, F 4/7.
    d2kb = report.part("D2KB")
    assert micro(d2kb.overall) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    assert list(d2kb.classes) == ["InKB", "EE", "GSInKB"]
    # GSInKB: gold Q1, Q2, Q1 against Q1, Q9: tp 1, fp 1, fn 2: P 1/2, R 1/3, F 2/5.
    assert micro(d2kb.classes["GSInKB"]) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert [part.name for part in run(GOLD, ANSWERS, "d2kb").parts] == []
    with pytest.raises(KeyError):
        report.part("C2KB")


def test_the_d2kb_part_of_a2kb_is_always_strong() -> None:
    # The answer is one character short: right for weak A2KB and recognition, not there for D2KB.
    report = run([[a(ONE, 1)]], [[a((0, 2), 1)]], match="weak")
    assert micro(report.main.overall) == micro(report.part(RECOGNITION).overall) == (1, 1, 1)
    assert report.part("D2KB").overall.counts == Counts(fn=1)
    # And where the answer is on a gold span, only that item can be meant, not the inner one.
    report = run([[a((0, 8), 1), a(TWO, 2)]], [[a((0, 8), 2)]], match="weak")
    assert report.main.overall.counts == Counts(tp=1, fn=1)
    assert report.part("D2KB").overall.counts == Counts(fp=1, fn=2)


def test_bare_spans_are_seen_by_recognition_alone() -> None:
    gold = [[a(ONE, 1), a(TWO)]]
    answers = [[a(ONE, 1), a(TWO), a(THREE)]]
    for experiment in ("a2kb", "d2kb", "c2kb"):
        assert run(gold, answers, experiment).main.overall.counts == Counts(tp=1)
    # A bare span is not a NIL: there is no EE.
    assert list(run(gold, answers).main.classes) == ["InKB"]
    assert run(gold, answers, "erec").main.overall.counts == Counts(tp=2, fp=1)
    # But the recognition part of A2KB works on what A2KB sees.
    assert run(gold, answers).part(RECOGNITION).overall.counts == Counts(tp=1)


def test_d2kb_drops_answers_off_the_gold_spans_even_when_weak() -> None:
    gold = [[a(ONE, 1), a(TWO, 2)]]
    # One character too long; elsewhere; and twice on one gold span: one right, one false positive.
    answers = [[a((0, 4), 1), a(FOUR, 7), a(TWO, 2), a(TWO, 2)]]
    for match in ("strong", "weak"):
        assert run(gold, answers, "d2kb", match).main.overall.counts == Counts(1, 1, 1)
    # Nothing to find and everything dropped is perfect.
    assert micro(run([[]], [[a(ONE, 1)]], "d2kb").main.overall) == (1, 1, 1)


def test_weak_d2kb_may_pair_an_answer_with_an_overlapping_gold_item() -> None:
    # Q2 is answered on the outer span; that span is in gold (as Q1), so it passes, and weakly it is the
    # inner item's Q2.
    gold, answers = [[a((0, 8), 1), a(TWO, 2)]], [[a((0, 8), 2)]]
    assert run(gold, answers, "d2kb", "weak").main.overall.counts == Counts(tp=1, fn=1)
    assert run(gold, answers, "d2kb").main.overall.counts == Counts(fp=1, fn=2)


def test_classes_filter_each_side_by_its_own_uris() -> None:
    # Gold Q1 answered NIL, gold NIL answered Q2.
    main = run([[a(ONE, 1), a(TWO, "Zeb")]], [[a(ONE, "Ann"), a(TWO, 2)]], "d2kb").main
    assert main.overall.counts == Counts(fp=2, fn=2)
    # InKB does not see the NIL answer: fn for Q1, fp for Q2. EE the other way round.
    assert main.classes["InKB"].counts == Counts(fp=1, fn=1)
    assert main.classes["EE"].counts == Counts(fp=1, fn=1)
    # GSInKB sees the NIL answer on Q1's span as a false positive, and not Q2, which lies on a NIL.
    assert main.classes["GSInKB"].counts == Counts(fp=1, fn=1)


def test_gs_in_kb_looks_at_any_gold_item_of_the_span() -> None:
    # The span is both Q1 and NIL in gold: both answers lie on the span of an item in the KB.
    main = run([[a(ONE, "Zeb"), a(ONE, 1)]], [[a(ONE, 1), a(ONE, "Zeb")]], "d2kb").main
    assert main.classes["GSInKB"].counts == Counts(tp=1, fp=1)
    assert main.overall.counts == Counts(tp=2)


def test_a_class_without_items_has_no_block() -> None:
    assert list(run([[a(ONE, 1)]], [[a(ONE, 1)]]).main.classes) == ["InKB"]
    assert list(run([[a(ONE, "Zeb")]], [[]]).main.classes) == ["EE"]
    assert run([[]], [[]]).main.classes == {}


def test_macro_of_a_class_counts_documents_without_the_class_as_perfect() -> None:
    # The only NIL is missed: micro 0; three documents of four have none: macro 3/4.
    gold = [[a(ONE, "Zeb")], [a(ONE, 1)], [a(ONE, 1)], []]
    answers = [[], [a(ONE, 1)], [], []]
    ee = run(gold, answers).main.classes["EE"]
    assert micro(ee) == (0, 0, 0)
    assert means(ee) == (3 / 4, 3 / 4, 3 / 4)


def test_c2kb_counts_mentions_and_knows_no_spans() -> None:
    gold = [[a(ONE, 1), a(TWO, 1), a(THREE, "Zeb")]]
    answers = [[a(FOUR, 1), a(FOUR, 2), a(FOUR, "Ann")]]
    for match in ("strong", "weak"):
        report = run(gold, answers, "c2kb", match)
        # One Q1 of two, the NIL by any other name; Q2 is wrong.
        assert report.main.overall.counts == Counts(2, 1, 1)
        assert list(report.main.classes) == ["InKB", "EE"]
        assert report.parts == ()


def test_recognition_knows_no_entities() -> None:
    report = run([[a(ONE, 1), a(TWO, "Zeb")]], [[a(ONE, 2), a((6, 9), 1)]], "erec", "weak")
    assert report.main.overall.counts == Counts(tp=2)
    assert run(
        [[a(ONE, 1), a(TWO, "Zeb")]], [[a(ONE, 2), a((6, 9), 1)]], "erec"
    ).main.overall.counts == Counts(1, 1, 1)


# --- nothing at all ---


@pytest.mark.parametrize("experiment", ["a2kb", "d2kb", "c2kb", "erec"])
def test_nothing_to_find_and_nothing_found_is_perfect(experiment: str) -> None:
    report = run([[], []], [[], []], experiment)
    for part in (report.main, *report.parts):
        assert micro(part.overall) == means(part.overall) == (1, 1, 1)


@pytest.mark.parametrize("experiment", ["a2kb", "c2kb", "erec"])
def test_one_empty_side_is_zero(experiment: str) -> None:
    some, none = [[a(ONE, 1)], []], [[], []]
    # Precision of no answers is 0, recall of no gold is 0; the empty document gives macro 1/2.
    for gold, answers in ((some, none), (none, some)):
        overall = run(gold, answers, experiment).main.overall
        assert micro(overall) == (0, 0, 0)
        assert means(overall) == (1 / 2, 1 / 2, 1 / 2)


def test_what_cannot_be_evaluated_is_said() -> None:
    one = documents([a(ONE, 1)])
    with pytest.raises(InputError, match="no gold documents"):
        evaluate([], [])
    with pytest.raises(InputError, match="1 gold documents and 2 answers"):
        evaluate(one, one * 2)
    with pytest.raises(InputError, match="document 1 is '0' in gold and 'other' in the answers"):
        evaluate(one, [AnnotatedDocument("other", "x")])
    for experiment, match in (("a2k", "strong"), ("a2kb", "fuzzy"), ("a2kb", "any")):
        with pytest.raises(InputError, match="cannot be run"):
            evaluate(one, one, experiment, match)


def test_failed_requests_are_empty_answers_up_to_a_quarter() -> None:
    gold = documents(*[[a(ONE, 1)]] * 5)
    # A quarter of five, rounded up, is two.
    report = evaluate(gold, [None, None, *gold[2:]])
    assert report.errors == 2
    assert report.main.overall.counts == Counts(tp=3, fn=2)
    with pytest.raises(InputError, match="3 of 5 documents have no answer"):
        evaluate(gold, [None, None, None, *gold[3:]])


# --- confidences ---


def test_the_threshold_of_the_best_micro_f1_is_chosen_on_the_data() -> None:
    gold = [[a(ONE, 1), a(TWO, 2)]]
    answers = [[a(ONE, 1, score=0.9), a(TWO, 9, score=0.2), a(FOUR, 8, score=0.5)]]
    main = run(gold, answers).main
    # all: tp 1, fp 2, fn 1, F 2/5; above 0.2: fp 1, F 1/2; above 0.5: fp 0, F 2/3; above 0.9: 0.
    assert main.threshold == 0.5
    assert micro(main.overall) == pytest.approx((1, 1 / 2, 2 / 3))
    # Recognition chooses its own: all: tp 2, fp 1, F 4/5; that is already the best.
    assert run(gold, answers).part(RECOGNITION).threshold == 0


def test_matching_is_done_anew_at_each_threshold() -> None:
    # Unfiltered, the wide answer comes first and takes the gold item; above 0.3 it is gone and the exact
    # one takes its place: tp stays 1 and the false positive goes.
    gold = [[a(TWO, 1)]]
    answers = [[a((4, 9), 1, score=0.3), a(TWO, 1, score=0.6)]]
    main = run(gold, answers, match="weak").main
    assert (main.threshold, main.overall.counts) == (0.3, Counts(tp=1))


def test_unscored_answers_are_never_dropped() -> None:
    answers = [[a(ONE, 1), a(TWO, 9, score=0.7), a(FOUR, 9)]]
    main = run([[a(ONE, 1)]], answers).main
    # Above 0.7 only the scored wrong one goes; the unscored wrong one stays: tp 1, fp 1.
    assert (main.threshold, main.overall.counts) == (0.7, Counts(tp=1, fp=1))


@pytest.mark.parametrize("confidence", [0.001, 0.5, 1.0, 17.0])
def test_one_confidence_for_all_is_harmless(confidence: float) -> None:
    scored = [[Annotation(x.start, x.end, x.uris, confidence) for x in answers] for answers in ANSWERS]
    for part, plain in zip(
        (run(GOLD, scored).main, *run(GOLD, scored).parts),
        (run(GOLD, ANSWERS).main, *run(GOLD, ANSWERS).parts),
        strict=True,
    ):
        assert (part.overall, part.classes, part.threshold) == (plain.overall, plain.classes, 0)


def test_confidences_of_gold_are_ignored() -> None:
    assert run([[a(ONE, 1, score=0.0)]], [[a(ONE, 1)]]).main.overall.counts == Counts(tp=1)


def test_classes_are_read_one_threshold_too_high() -> None:
    gold = [[a(ONE, 1), a(TWO, 2)]]
    answers = [[a(ONE, 1, score=0.9), a(TWO, 2, score=0.4), a(FOUR, "Zeb", score=0.3)]]
    # All: F 4/5 unfiltered, 1 above 0.3. InKB has the thresholds 0, 0.4 and 0.9: at 0.4 it has lost Q2.
    main = run(gold, answers).main
    assert (main.threshold, micro(main.overall)) == (0.3, (1, 1, 1))
    assert micro(main.classes["InKB"]) == pytest.approx((1, 1 / 2, 2 / 3))
    mended = run(gold, answers, oddities=False).main
    assert micro(mended.classes["InKB"]) == (1, 1, 1)


def test_a_class_without_a_higher_threshold_is_zero() -> None:
    # NILs are unscored and right; 0.2 is chosen because of Q9. EE's only threshold is 0.
    gold = [[a(ONE, 1), a(TWO, "Zeb")]]
    answers = [[a(ONE, 1, score=0.9), a(TWO, "Ann"), a(FOUR, 9, score=0.2)]]
    main = run(gold, answers).main
    assert (main.threshold, micro(main.overall)) == (0.2, (1, 1, 1))
    assert main.classes["EE"].micro == main.classes["EE"].macro == Measures(0, 0, 0)
    assert micro(run(gold, answers, oddities=False).main.classes["EE"]) == (1, 1, 1)


@pytest.mark.parametrize("low", [0.0, -2.0])
def test_a_confidence_of_zero_is_never_counted(low: float) -> None:
    gold, answers = [[a(ONE, 1)], [a(ONE, 1)]], [[a(ONE, 1, score=low)], [a(ONE, 1, score=0.5)]]
    assert run(gold, answers).main.overall.counts == Counts(tp=1, fn=1)
    assert run(gold, answers, oddities=False).main.overall.counts == Counts(tp=2)


def test_empty_gold_and_scored_answers_are_perfect() -> None:
    main = run([[]], [[a(ONE, 1, score=0.4), a(TWO, 2, score=0.8)]]).main
    assert (main.threshold, micro(main.overall)) == (0.8, (1, 1, 1))
    mended = run([[]], [[a(ONE, 1, score=0.4), a(TWO, 2, score=0.8)]], oddities=False).main
    assert (mended.threshold, micro(mended.overall)) == (0, (0, 0, 0))


def test_bare_spans_have_no_confidence() -> None:
    # A wrong bare span of 0.1 cannot be dropped; without oddities it can.
    gold, answers = [[a(ONE, 1)]], [[a(ONE, 1, score=0.9), a(TWO, score=0.1)]]
    assert run(gold, answers, "erec").main.overall.counts == Counts(tp=1, fp=1)
    assert run(gold, answers, "erec", oddities=False).main.overall.counts == Counts(tp=1)


# --- URIs ---


def test_names_of_several_knowledge_bases_need_one_in_common() -> None:
    berlin = frozenset({"https://en.wikipedia.org/wiki/Berlin", "http://d-nb.info/gnd/1"})
    gold = [AnnotatedDocument("0", "", (Annotation(0, 3, berlin),))]

    def counts(*uris: str) -> Counts:
        return evaluate(
            gold, [AnnotatedDocument("0", "", (Annotation(0, 3, frozenset(uris)),))]
        ).main.overall.counts

    right, wrong = Counts(tp=1), Counts(fp=1, fn=1)
    assert counts("http://dbpedia.org/resource/Berlin") == right
    assert counts("http://d-nb.info/gnd/1", WIKIDATA + "Q9") == right
    assert counts(WIKIDATA + "Q64") == wrong
    assert counts("https://de.wikipedia.org/wiki/Berlin") == wrong  # not of a knowledge base: EE
    # With an index the item is Berlin; not so by an address that is not in the form of the list.
    index = title_links({"Q64": "Berlin"})
    for uri, expected in ((WIKIDATA + "Q64", right), ("https://www.wikidata.org/entity/Q64", wrong)):
        answer = [AnnotatedDocument("0", "", (Annotation(0, 3, frozenset({uri})),))]
        assert evaluate(gold, answer, links=index).main.overall.counts == expected


def test_pairs_of_the_data_set_hold_for_gold_only() -> None:
    own, page = "http://corpus.example/Ulm", "http://dbpedia.org/resource/Ulm"
    one = [AnnotatedDocument("0", "", (Annotation(0, 3, frozenset({own})),))]
    other = [AnnotatedDocument("0", "", (Annotation(0, 3, frozenset({page})),))]
    assert evaluate(one, other).main.overall.counts == Counts(fp=1, fn=1)
    assert evaluate(one, other, gold_pairs=[(own, page)]).main.overall.counts == Counts(tp=1)
    # An answer's own names are not the data set's: EE against InKB.
    assert evaluate(other, one, gold_pairs=[(own, page)]).main.overall.counts == Counts(fp=1, fn=1)


def test_the_list_of_knowledge_bases_can_be_another() -> None:
    both = [AnnotatedDocument("0", "", (Annotation(0, 3, frozenset({"urn:own:1"})),))]
    assert list(evaluate(both, both).main.classes) == ["EE"]
    assert list(evaluate(both, both, kb_prefixes=("urn:own:",)).main.classes) == ["InKB"]


# --- from our own documents ---


TEXT = "Ann met Zeb in Ulm."


def test_gold_gets_the_uris_that_nif_would_have() -> None:
    gold = GoldDocument(
        "1",
        TEXT,
        (
            GoldMention(0, 3, "Q1"),
            GoldMention(8, 11, None),
            GoldMention(15, 18, "enwiki:Ulm (city)"),
            GoldMention(4, 7, "urn:own:met"),
            GoldMention(15, 19, "Q7", optional=True),
        ),
        (0, len(TEXT)),
    )
    document = from_gold(gold)
    assert [(x.span, *x.uris) for x in document.annotations] == [
        ((0, 3), WIKIDATA + "Q1"),
        ((8, 11), NIL + "Zeb"),
        ((15, 18), "http://en.wikipedia.org/wiki/Ulm_(city)"),
        ((4, 7), "urn:onegen-el:entity/urn:own:met"),
    ]
    assert (document.scope, document.optional) == (None, {(15, 19)})
    assert from_gold(GoldDocument("1", TEXT, (), (0, 7))).scope == (0, 7)


def test_linked_documents_have_confidences_on_demand_and_never_zero() -> None:
    linked = LinkedDocument(
        "1", TEXT, (Mention(0, 3, "Ann", "Q1", score=0.87654321), Mention(8, 11, "Zeb", None, score=-0.3))
    )
    assert from_linked(linked).annotations == (a((0, 3), 1), a((8, 11), "Zeb"))
    scored = from_linked(linked, confidences=True).annotations
    assert [x.confidence for x in scored] == [0.876543, 1e-06]


def test_nothing_outside_of_the_scope_or_on_optional_spans_is_seen() -> None:
    gold = AnnotatedDocument("0", "", (a(ONE, 1), a(TWO, 2), a(THREE, 3)), (5, 18), frozenset({FOUR}))
    answers = AnnotatedDocument("0", "", (a(ONE, 9), a(TWO, 2), a(FOUR, 9), a((16, 19), 9), a((15, 17), 9)))
    report = evaluate([gold], [answers])
    # Q1 is outside; of the answers three are left out: outside, optional, reaching out.
    assert (report.left_out, report.main.overall.counts) == (3, Counts(tp=1, fp=1, fn=1))


def test_offsets_are_code_points_on_both_sides() -> None:
    text = "😀 Ann and Zeb"
    gold = GoldDocument("1", text, (GoldMention(2, 5, "Q1"),), (0, len(text)))
    points = LinkedDocument("1", text, (Mention(2, 5, "Ann", "Q1"),))
    # UTF-16, as Java counts: behind the emoji all is one too late.
    units = LinkedDocument("1", text, (Mention(3, 6, "nn ", "Q1"),))
    for answer, right in ((points, 1), (units, 0)):
        assert evaluate([from_gold(gold)], [from_linked(answer)]).main.overall.counts.tp == right


def test_annotations_that_no_text_can_have_are_refused() -> None:
    for start, end in ((-1, 2), (3, 2)):
        with pytest.raises(ValueError, match="no text has the span"):
            Annotation(start, end)
    for confidence in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            Annotation(0, 1, confidence=confidence)


def test_the_report_as_a_dictionary() -> None:
    row = run(GOLD, ANSWERS).to_dict()
    assert (row["experiment"], row["match"], row["oddities"], row["documents"]) == ("a2kb", "strong", True, 2)
    assert row["micro"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert row["classes"]["EE"]["macro"]["f1"] == 1
    assert [part["name"] for part in row["parts"]] == [RECOGNITION, "D2KB"]


# --- properties ---

ENTITIES = st.frozensets(
    st.sampled_from([WIKIDATA + "Q1", WIKIDATA + "Q2", NIL + "a", NIL + "b"]), min_size=1, max_size=2
)
ANNOTATIONS = st.builds(
    lambda start, size, uris, score: Annotation(start, start + size, uris, score),
    st.integers(0, 12),
    st.integers(1, 4),
    ENTITIES,
    st.none() | st.sampled_from([0.1, 0.4, 0.4, 0.9]),
)
CORPORA = st.lists(
    st.tuples(st.lists(ANNOTATIONS, max_size=5), st.lists(ANNOTATIONS, max_size=5)), min_size=1, max_size=5
)
EXPERIMENTS, MATCHES = st.sampled_from(["a2kb", "d2kb", "c2kb", "erec"]), st.sampled_from(["strong", "weak"])


def figures(report: Report) -> list[float]:
    return [
        value
        for part in (report.main, *report.parts)
        for scores in (part.overall, *part.classes.values())
        for measures in (scores.micro, scores.macro)
        for value in measures.to_dict().values()
    ]


@given(CORPORA, EXPERIMENTS, MATCHES, st.booleans())
def test_gold_against_itself_is_perfect(
    corpus: list[tuple[list[Annotation], list[Annotation]]], experiment: str, match: str, oddities: bool
) -> None:
    plain = [[Annotation(x.start, x.end, x.uris) for x in gold] for gold, _ in corpus]
    report = run(plain, plain, experiment, match, oddities)
    for part in (report.main, *report.parts):
        for label, scores in {"all": part.overall, **part.classes}.items():
            # GSInKB has a false positive even then, where a span is both in the KB and NIL in gold.
            perfect = scores.counts.fn == 0 if label == "GSInKB" else scores.macro == Measures(1, 1, 1)
            assert perfect, (part.name, label)


@given(CORPORA, EXPERIMENTS, MATCHES, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_documents_changes_nothing(
    corpus: list[tuple[list[Annotation], list[Annotation]]],
    experiment: str,
    match: str,
    oddities: bool,
    dice: Random,
) -> None:
    shuffled = list(corpus)
    dice.shuffle(shuffled)
    first, second = (
        run([g for g, _ in pairs], [s for _, s in pairs], experiment, match, oddities)
        for pairs in (corpus, shuffled)
    )
    # Sums of doubles may differ in the last digit.
    assert figures(first) == pytest.approx(figures(second))
    assert first.main.threshold == second.main.threshold
    assert first.main.overall.counts == second.main.overall.counts
    assert all(0 <= value <= 1 for value in figures(first))


@given(CORPORA, EXPERIMENTS, MATCHES, st.booleans())
def test_a_threshold_is_never_worse_than_none(
    corpus: list[tuple[list[Annotation], list[Annotation]]], experiment: str, match: str, oddities: bool
) -> None:
    gold = [g for g, _ in corpus]
    plain = [[Annotation(x.start, x.end, x.uris) for x in s] for _, s in corpus]
    scored = run(gold, [s for _, s in corpus], experiment, match, oddities).main.overall.micro.f1
    assert scored >= run(gold, plain, experiment, match, oddities).main.overall.micro.f1


# --- against the scorer that came first ---


def test_the_sample_corpus_is_scored_as_by_the_simple_scorer() -> None:
    from onegen_el.linker import load

    linker = load()
    sample = Path(__file__).parent.parent / "corpora" / "sample" / "first.jsonl"
    gold = list(read_elevant(sample))
    linked = list(linker.annotate((document.id, document.text) for document in gold))
    simple = score(zip(gold, linked, strict=True), resolver(linker.kb))
    pair = [from_gold(d) for d in gold], [from_linked(d) for d in linked]
    links = kb_links(linker.kb)
    a2kb = evaluate(*pair, links=links).main.classes["InKB"]
    erec = evaluate(*pair, "erec", links=links).main.overall
    assert simple.links.tp > 20
    assert a2kb.micro.to_dict() == simple.links.to_dict()
    assert erec.micro.to_dict() == simple.marks.to_dict()
    assert (a2kb.counts.tp, a2kb.counts.fp, a2kb.counts.fn) == (
        simple.links.tp,
        simple.links.fp,
        simple.links.fn,
    )
