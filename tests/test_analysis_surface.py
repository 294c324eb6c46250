"""The reference implementation's scores by surface, worked out by hand."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onegen_el.errors import InputError
from onegen_el.evaluation.annotations import AnnotatedDocument, Annotation, from_gold
from onegen_el.evaluation.matching import Counts
from onegen_el.evaluation.measures import ZERO
from onegen_el.evaluation.pairing import Identity
from onegen_el.evaluation.surface_scores import SurfaceScores, surface_scores
from onegen_el.evaluation.uris import title_links
from onegen_el.gold import GoldDocument, GoldMention

WIKIDATA, NIL = "http://www.wikidata.org/entity/", "http://aksw.org/notInWiki/"
TEXT = "Ulm beat Bonn , then Ulm lost to Bonn in Ulm ."
ULM, BONN, ULM_2, BONN_2, ULM_3 = (0, 3), (9, 13), (21, 24), (33, 37), (41, 44)


def gold(*mentions: GoldMention, name: str = "1", scope: tuple[int, int] = (0, len(TEXT))) -> GoldDocument:
    return GoldDocument(name, TEXT, mentions, scope)


def g(span: tuple[int, int], entity: str | None, optional: bool = False) -> GoldMention:
    return GoldMention(*span, entity, optional=optional)


def a(span: tuple[int, int], entity: int | str) -> Annotation:
    return Annotation(*span, frozenset({f"{WIKIDATA}Q{entity}" if isinstance(entity, int) else NIL + entity}))


def answers(*annotations: Annotation, name: str = "1") -> AnnotatedDocument:
    return AnnotatedDocument(name, TEXT, annotations)


def run(wanted: GoldDocument, given: AnnotatedDocument) -> SurfaceScores:
    return surface_scores([wanted], [given])


def test_where_a_name_stands_does_not_matter() -> None:
    # Gold is the first Ulm, the answer the last one: right. By spans it were a miss and a false positive.
    assert run(gold(g(ULM, "Q1")), answers(a(ULM_3, 1))).linking == Counts(tp=1)


def test_equal_units_are_counted_as_often_as_they_occur() -> None:
    # Wanted: Ulm/1 twice, Ulm/2 once. Given: Ulm/1 three times. Shared: two.
    wanted = gold(g(ULM, "Q1"), g(ULM_2, "Q1"), g(ULM_3, "Q2"))
    found = run(wanted, answers(a(ULM, 1), a(ULM_2, 1), a(ULM_3, 1)))
    assert found.linking == Counts(tp=2, fp=1, fn=1)
    assert found.linking_measures.f1 == pytest.approx(2 / 3)


def test_documents_are_kept_apart_in_linking_and_not_in_detection() -> None:
    wanted = [gold(g(ULM, "Q1")), gold(name="2")]
    found = surface_scores(wanted, [answers(), answers(a(ULM, 1), name="2")])
    assert found.linking == Counts(fp=1, fn=1)
    assert found.detection == Counts(tp=1)


def test_a_gold_nil_excuses_the_first_answer_with_its_surface() -> None:
    # The last Ulm is a NIL. The first answer "Ulm", though right on its span, is excused instead; the
    # second is right, the third too many.
    wanted = gold(g(ULM, "Q1"), g(ULM_3, None))
    found = run(wanted, answers(a(ULM_3, 7), a(ULM, 1), a(ULM_2, 1)))
    # In text order: 0-3 excused, 21-24 right, 41-44 wrong.
    assert (found.linking, found.excused) == (Counts(tp=1, fp=1), 1)
    # In text order, whatever the order of the file: 0-3, though wrong, is excused, and 21-24 is right.
    assert run(wanted, answers(a(ULM_2, 1), a(ULM, 7))).linking == Counts(tp=1)
    # As many are excused as there are NILs.
    two = run(gold(g(ULM, None), g(ULM_3, None)), answers(a(ULM, 1), a(ULM_2, 1), a(ULM_3, 1), a(BONN, 1)))
    assert (two.linking, two.excused) == (Counts(fp=2), 2)


def test_an_answer_without_a_link_is_not_seen() -> None:
    # It neither is wrong nor uses up the excuse of the NIL.
    wanted = gold(g(ULM, None), g(BONN, "Q2"))
    found = run(wanted, answers(a(ULM, "nobody"), a(ULM_2, 1), a(BONN, "nobody")))
    assert (found.linking, found.excused) == (Counts(fn=1), 1)


def test_optional_gold_is_wanted_and_the_scope_is_not_known() -> None:
    wanted = gold(g(ULM, "Q1", optional=True), g(BONN_2, "Q2"), scope=(0, 20))
    assert run(wanted, answers(a(ULM, 1), a(ULM_3, 9))).linking == Counts(tp=1, fp=1, fn=1)


def test_white_space_around_a_name() -> None:
    wide = (8, 14)  # " Bonn "
    found = run(gold(g(BONN, "Q2")), answers(a(wide, 2)))
    assert found.linking == Counts(tp=1)
    assert found.detection == Counts(fp=1, fn=1)


def test_detection_counts_nils_on_both_sides() -> None:
    found = run(gold(g(ULM, None), g(BONN, "Q2")), answers(a(ULM_2, "nobody"), a(BONN, 7)))
    assert found.detection == Counts(tp=2)


def test_nothing_right_is_zero_even_with_nothing_to_find() -> None:
    found = run(gold(), answers())
    assert found.linking_measures == ZERO and found.detection_measures == ZERO
    assert found.to_dict()["linking"]["f1"] == 0


def test_titles_and_items_meet_through_the_index() -> None:
    wanted = gold(g(ULM, "enwiki:Ulm"))
    assert run(wanted, answers(a(ULM, 3012))).linking == Counts(fp=1, fn=1)
    identity = Identity(title_links({"Q3012": "Ulm"}))
    assert surface_scores([wanted], [answers(a(ULM, 3012))], identity).linking == Counts(tp=1)


def test_what_does_not_belong_together() -> None:
    with pytest.raises(InputError, match="'1' in gold and '2'"):
        run(gold(), answers(name="2"))
    assert surface_scores([gold(g(ULM, "Q1"))], [None]).linking == Counts(fn=1)


MENTIONS = st.lists(
    st.tuples(st.sampled_from([ULM, BONN, ULM_2, BONN_2, ULM_3]), st.sampled_from(["Q1", "Q2"])), max_size=6
)


@given(MENTIONS, MENTIONS, MENTIONS, st.randoms(use_true_random=False))
def test_without_nils_it_is_the_overlap_of_multisets(
    first: list[tuple[tuple[int, int], str]],
    second: list[tuple[tuple[int, int], str]],
    given_: list[tuple[tuple[int, int], str]],
    random: Random,
) -> None:
    documents = [gold(*(g(s, e) for s, e in first)), gold(*(g(s, e) for s, e in second), name="2")]
    system = [
        answers(*(a(s, int(e[1:])) for s, e in given_)),
        answers(*(a(s, int(e[1:])) for s, e in first), name="2"),
    ]
    found = surface_scores(documents, system)

    def numbered(rows: list[tuple[tuple[int, int], str]], name: str) -> set[tuple[str, str, str, int]]:
        # As the reference does it: the n-th of equal units is a unit of its own.
        units = [(name, TEXT[slice(*span)], entity) for span, entity in rows]
        return {(*unit, units[:n].count(unit)) for n, unit in enumerate(units)}

    wanted = numbered(first, "1") | numbered(second, "2")
    said = numbered(given_, "1") | numbered(first, "2")
    assert found.linking == Counts(len(wanted & said), len(said - wanted), len(wanted - said))
    order = random.sample([0, 1], 2)
    assert surface_scores([documents[n] for n in order], [system[n] for n in order]) == found


@given(MENTIONS.filter(bool))
def test_gold_against_itself_is_perfect(rows: list[tuple[tuple[int, int], str]]) -> None:
    document = gold(*(g(s, e) for s, e in rows))
    found = run(document, from_gold(document))
    assert (found.linking_measures.f1, found.detection_measures.f1) == (1, 1)
