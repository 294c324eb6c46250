"""What became of each mention: classes worked out by hand, and that they add up to GERBIL's counts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.document import LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, from_linked
from onegen_el.evaluation.error_classes import GROUPS, Case, ErrorClass, ErrorReport, Side, classify
from onegen_el.evaluation.gerbil import evaluate
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.pairing import Identity
from onegen_el.evaluation.uris import title_links

WIKIDATA, NIL = "http://www.wikidata.org/entity/", "http://aksw.org/notInWiki/"
TEXT = "Ann Lee and Bob of Ulm met Eve in Old Rome ."
ANN_LEE, ANN, LEE, BOB, ULM = (0, 7), (0, 3), (4, 7), (12, 15), (19, 22)
EVE, OLD_ROME, ROME = (27, 30), (34, 42), (38, 42)


def a(span: tuple[int, int], *entities: int | str, score: float | None = None) -> Annotation:
    """Numbers are items of Wikidata, words are NILs, none at all is a bare span."""
    uris = (f"{WIKIDATA}Q{e}" if isinstance(e, int) else NIL + e for e in entities)
    return Annotation(*span, frozenset(uris), score)


def document(*annotations: Annotation, name: str = "1", **more: object) -> AnnotatedDocument:
    return AnnotatedDocument(name, TEXT, annotations, **more)  # type: ignore[arg-type]


def report(gold: Sequence[Annotation], answers: Sequence[Annotation]) -> ErrorReport:
    return classify([document(*gold)], [document(*answers)])


def nonzero(counts: dict[ErrorClass, int]) -> dict[ErrorClass, int]:
    return {name: count for name, count in counts.items() if count}


def only(cases: Sequence[Case]) -> Case:
    (case,) = cases
    return case


def test_each_class() -> None:
    found = report(
        [a(ANN_LEE, 1), a(BOB, 2), a(ULM, 3), a(EVE, "Eve"), a(OLD_ROME, 4)],
        [
            a(ANN_LEE, 1),  # right
            a(BOB, 9),  # another entity
            a(ULM, "Ulm"),  # gold has a link, the answer none
            a(EVE, 5),  # the other way round
            a(ROME, 4),  # the right entity on a part of the name
            a((8, 11), 7),  # "and" is nothing
        ],
    )
    assert nonzero(found.gold) == {
        ErrorClass.RIGHT: 1,
        ErrorClass.WRONG_ENTITY: 1,
        ErrorClass.LINK_AS_NIL: 1,
        ErrorClass.NIL_AS_LINK: 1,
        ErrorClass.SPAN_ONLY: 1,
    }
    assert nonzero(found.system) == nonzero(found.gold) | {ErrorClass.SPURIOUS: 1}
    assert [case.side for case in found.cases].count(Side.BOTH) == 5


def test_missed_and_right_nil_and_two_errors_at_once() -> None:
    found = report([a(EVE, "Eve"), a(BOB, 2), a(OLD_ROME, 4)], [a(EVE, "somebody"), a(ROME, 9)])
    assert nonzero(found.gold) == {
        ErrorClass.RIGHT_NIL: 1,
        ErrorClass.MISSED: 1,
        ErrorClass.SPAN_AND_ENTITY: 1,
    }
    assert nonzero(found.system) == {ErrorClass.RIGHT_NIL: 1, ErrorClass.SPAN_AND_ENTITY: 1}


def test_an_answer_on_one_gold_span_is_no_wrong_span_of_another() -> None:
    # The inner name is missed, since the answer belongs to the outer one.
    found = report([a(OLD_ROME, 4), a(ROME, 5)], [a(OLD_ROME, 4)])
    assert nonzero(found.gold) == {ErrorClass.RIGHT: 1, ErrorClass.MISSED: 1}
    # An inner answer beside a right outer one is spurious.
    assert nonzero(report([a(OLD_ROME, 4)], [a(OLD_ROME, 4), a(ROME, 5)]).system) == {
        ErrorClass.RIGHT: 1,
        ErrorClass.SPURIOUS: 1,
    }


def test_two_answers_on_parts_of_one_name() -> None:
    # One gold mention, two answers with a wrong span; the gold mention is shown beside the right entity.
    found = report([a(ANN_LEE, 1)], [a(ANN, 8), a(LEE, 1)])
    assert nonzero(found.gold) == {ErrorClass.SPAN_ONLY: 1}
    assert nonzero(found.system) == {ErrorClass.SPAN_ONLY: 1, ErrorClass.SPAN_AND_ENTITY: 1}
    pair, rest = found.examples(ErrorClass.SPAN_ONLY)[0], only(found.examples(ErrorClass.SPAN_AND_ENTITY))
    assert pair.side is Side.BOTH and pair.found is not None and pair.found.surface == "Lee"
    assert rest.side is Side.SYSTEM and rest.found is not None and rest.found.surface == "Ann"
    assert rest.gold is not None and rest.gold.surface == "Ann Lee"
    # Without the entity to tell them apart the longer overlap decides, then the first.
    other = only(report([a((0, 11), 1)], [a(LEE, 7), a((4, 11), 8)]).examples(ErrorClass.SPAN_AND_ENTITY, 1))
    assert other.found is not None and other.found.surface == "Lee and"


def test_touching_spans_do_not_overlap() -> None:
    found = report([a(ANN, 1)], [a((3, 7), 1)])
    assert nonzero(found.gold) == {ErrorClass.MISSED: 1}
    assert nonzero(found.system) == {ErrorClass.SPURIOUS: 1}


def test_several_mentions_on_a_span_pair_off_by_entity() -> None:
    found = report([a(BOB, 2), a(BOB, 3)], [a(BOB, 3), a(BOB, 4), a(BOB, 5)])
    # 3 is right, 2 meets 4, and nothing is left for 5.
    assert nonzero(found.gold) == {ErrorClass.RIGHT: 1, ErrorClass.WRONG_ENTITY: 1}
    assert nonzero(found.system) == {ErrorClass.RIGHT: 1, ErrorClass.WRONG_ENTITY: 1, ErrorClass.SPURIOUS: 1}
    wrong = only(found.examples(ErrorClass.WRONG_ENTITY))
    assert wrong.gold is not None and wrong.found is not None
    assert (wrong.gold.entity, wrong.found.entity) == ("Q2", "Q4")


def test_bare_spans_are_nils() -> None:
    assert nonzero(report([a(BOB, 2)], [a(BOB)]).gold) == {ErrorClass.LINK_AS_NIL: 1}


def test_what_the_knowledge_base_lacks() -> None:
    gold = [a(ANN_LEE, 1), a(BOB, 2), a(ULM, 3), a(EVE, "Eve"), a(OLD_ROME, 4)]
    answers = [a(ANN_LEE, 1), a(BOB, 9), a(EVE, 5), a(ROME, 4)]
    found = classify([document(*gold)], [document(*answers)], holds=lambda entity: entity in {"Q1", "Q4"})
    # Bob (2) got another entity and Ulm (3) is missed: neither could be right. The NIL lacks nothing.
    assert nonzero(found.not_in_kb) == {ErrorClass.WRONG_ENTITY: 1, ErrorClass.MISSED: 1}
    assert nonzero(report(gold, answers).not_in_kb) == {}
    # What is right was not lacking.
    right = classify([document(a(BOB, 2))], [document(a(BOB, 2))], holds=lambda entity: False)
    assert nonzero(right.not_in_kb) == {}


def test_other_names_of_the_data_set_hold_for_gold_alone() -> None:
    other = Annotation(*BOB, frozenset({"http://example.org/bob"}))
    identity = Identity(gold_pairs=[("http://example.org/bob", f"{WIKIDATA}Q2")])
    assert nonzero(classify([document(other)], [document(a(BOB, 2))], identity).gold) == {ErrorClass.RIGHT: 1}
    assert nonzero(classify([document(a(BOB, 2))], [document(other)], identity).gold) == {
        ErrorClass.LINK_AS_NIL: 1
    }


def test_an_entity_is_held_by_any_of_its_names() -> None:
    titled = Annotation(*ULM, frozenset({"http://en.wikipedia.org/wiki/Ulm"}))
    found = classify(
        [document(titled)],
        [document()],
        Identity(title_links({"Q3012": "Ulm"})),
        holds=lambda entity: entity == "Q3012",
    )
    assert nonzero(found.not_in_kb) == {}
    case = only(found.cases)
    assert case.gold is not None and (case.gold.entity, case.gold.title) == ("Q3012", None)


def test_what_a_report_shows() -> None:
    gold = Annotation(*ULM, frozenset({"http://en.wikipedia.org/wiki/Ulm_(city)"}))
    found = classify([document(gold)], [document(a(ULM, 5, score=0.25))], title={"Q5": "Ulm, Montana"}.get)
    assert only(found.cases).to_dict() == {
        "document": "1",
        "class": "wrong entity",
        "side": "both",
        "gold": {
            "start": 19,
            "end": 22,
            "surface": "Ulm",
            "entity": "enwiki:Ulm (city)",
            "title": "Ulm (city)",
            "confidence": None,
        },
        "found": {
            "start": 19,
            "end": 22,
            "surface": "Ulm",
            "entity": "Q5",
            "title": "Ulm, Montana",
            "confidence": 0.25,
        },
        "not_in_kb": False,
    }
    row = found.to_dict(examples=0)
    assert row["gold"]["wrong entity"] == 1 and row["examples"]["wrong entity"] == []
    nil = only(report([a(EVE, "Eve")], []).cases)
    assert nil.gold is not None and nil.gold.entity is None


def test_an_id_of_the_users_own_comes_back_as_it_was() -> None:
    linked = from_linked(LinkedDocument("1", TEXT, (Mention(*ULM, "Ulm", "my town/1"),)))
    found = classify([linked], [linked], Identity(kb_prefixes=("urn:onegen-el:entity/",)))
    case = only(found.examples(ErrorClass.RIGHT))
    assert case.gold is not None and case.gold.entity == "my town/1"


def test_scope_and_optional_gold() -> None:
    gold = document(a(ULM, 3), a(OLD_ROME, 4), scope=(10, 30), optional=frozenset({EVE}))
    found = classify([gold], [document(a(ANN, 1), a(EVE, 5), a(ULM, 3), a(OLD_ROME, 4))])
    assert (nonzero(found.gold), found.left_out) == ({ErrorClass.RIGHT: 1}, 3)


def test_what_does_not_belong_together() -> None:
    with pytest.raises(InputError, match="1 gold documents and 0 answers"):
        classify([document()], [])
    with pytest.raises(InputError, match="'1' in gold and '2' in the answers"):
        classify([document()], [document(name="2")])
    assert nonzero(classify([document(a(BOB, 1))], [None]).gold) == {ErrorClass.MISSED: 1}


def test_every_class_is_in_one_group() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(ErrorClass)


SPANS = st.tuples(st.integers(0, 12), st.integers(0, 5)).map(lambda pair: (pair[0], sum(pair)))
ANNOTATIONS = st.lists(
    st.builds(
        lambda span, entity: a(span, *entity), SPANS, st.sampled_from([(1,), (2,), (1, 2), ("x",), ("y",)])
    ),
    max_size=8,
)
CORPORA = st.lists(st.tuples(ANNOTATIONS, ANNOTATIONS), min_size=1, max_size=4)


@given(CORPORA, st.randoms(use_true_random=False))
def test_classes_partition_and_agree_with_gerbil(
    corpus: list[tuple[list[Annotation], list[Annotation]]], random: Random
) -> None:
    gold = [document(*wanted, name=str(n)) for n, (wanted, _) in enumerate(corpus)]
    system = [document(*given, name=str(n)) for n, (_, given) in enumerate(corpus)]
    found = classify(gold, system)
    assert sum(found.gold.values()) == sum(len(d.annotations) for d in gold)
    assert sum(found.system.values()) == sum(len(d.annotations) for d in system)
    for name in set(ErrorClass) - {ErrorClass.SPAN_ONLY, ErrorClass.SPAN_AND_ENTITY}:
        if name not in (ErrorClass.MISSED, ErrorClass.SPURIOUS):
            assert found.gold[name] == found.system[name]
    classes = evaluate(gold, system).main.classes
    for label, name in (("InKB", ErrorClass.RIGHT), ("EE", ErrorClass.RIGHT_NIL)):
        counts = classes[label].counts if label in classes else Counts()
        assert counts.tp == found.gold[name]
    order = list(range(len(corpus)))
    random.shuffle(order)
    again = classify([gold[n] for n in order], [system[n] for n in order])
    assert (again.gold, again.system) == (found.gold, found.system)


@given(ANNOTATIONS)
def test_gold_against_itself_is_right(annotations: list[Annotation]) -> None:
    found = report(annotations, annotations)
    assert set(nonzero(found.gold)) <= {ErrorClass.RIGHT, ErrorClass.RIGHT_NIL}
    assert found.gold == found.system
