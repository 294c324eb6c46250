"""Scores worked out by hand, the names of entities in gold, and the choice of thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest

from onegen_el.document import Candidate, Entity, LinkedDocument, Mention
from onegen_el.evaluation.calibrate import calibrate
from onegen_el.evaluation.scores import Counts, Scores, resolver, score
from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.knowledge import KnowledgeBase, build_kb
from onegen_el.manifest import Calibration

TEXT = "Ann and Bob of Ulm met Eve in Rome ."
ANN, BOB, ULM, EVE, ROME = (0, 3), (8, 11), (15, 18), (23, 26), (30, 34)
KNOWN = {"Q1": "Q1", "Q2": "Q2", "Q3": "Q3", "enwiki:Ulm": "Q3"}  # what the knowledge base holds


def gold(*mentions: GoldMention, scope: tuple[int, int] = (0, len(TEXT))) -> GoldDocument:
    return GoldDocument("1", TEXT, mentions, scope)


def found(*mentions: Mention) -> LinkedDocument:
    return LinkedDocument("1", TEXT, mentions)


def mark(span: tuple[int, int], entity: str | None = None, *candidates: str) -> Mention:
    return Mention(
        *span, TEXT[slice(*span)], entity, candidates=tuple(Candidate(c, c, 0.5) for c in candidates)
    )


def scored(*pairs: tuple[GoldDocument, LinkedDocument]) -> Scores:
    return score(pairs, KNOWN.get)


def test_links_are_right_only_with_span_and_entity() -> None:
    scores = scored(
        (
            gold(GoldMention(*ANN, "Q1"), GoldMention(*BOB, "Q2"), GoldMention(*ULM, "enwiki:Ulm")),
            found(
                mark(ANN, "Q1"),  # right
                mark(BOB, "Q3"),  # the wrong entity: one false positive and one false negative
                mark((12, 18), "Q3"),  # the right entity on a wider span: again both
                mark(ROME, "Q3"),  # nothing was there: false positive
            ),
        )
    )
    assert scores.marks == Counts(tp=2, fp=2, fn=1)
    assert scores.links == Counts(tp=1, fp=3, fn=2)
    assert scores.links.precision == 1 / 4
    assert scores.links.recall == 1 / 3
    assert scores.links.f1 == pytest.approx(2 * (1 / 4) * (1 / 3) / (1 / 4 + 1 / 3))


def test_gold_may_name_an_entity_in_another_way() -> None:
    scores = scored((gold(GoldMention(*ULM, "enwiki:Ulm")), found(mark(ULM, "Q3"))))
    assert (scores.links, scores.coverage) == (Counts(tp=1), 1)


def test_a_link_on_a_nil_span_is_a_false_positive() -> None:
    nil = gold(GoldMention(*EVE, None))
    assert scored((nil, found(mark(EVE, "Q1")))).links == Counts(fp=1)
    # Saying NIL there is right, and no link.
    quiet = scored((nil, found(mark(EVE, None, "Q1"))))
    assert (quiet.links, quiet.marks) == (Counts(), Counts(tp=1))


def test_gold_outside_of_the_knowledge_base_is_a_false_negative() -> None:
    scores = scored((gold(GoldMention(*EVE, "Q99"), GoldMention(*ANN, "Q1")), found(mark(ANN, "Q1"))))
    assert scores.links == Counts(tp=1, fn=1)
    assert (scores.linked, scores.reachable, scores.coverage) == (2, 1, 0.5)


def test_an_unlinked_answer_on_linked_gold_is_a_false_negative() -> None:
    assert scored((gold(GoldMention(*ANN, "Q1")), found(mark(ANN, None)))).links == Counts(fn=1)


def test_optional_gold_counts_neither_found_nor_missed() -> None:
    document = gold(GoldMention(*ANN, "Q1"), GoldMention(*ROME, "Q2", optional=True))
    for extra in ([], [mark(ROME, "Q2")], [mark(ROME, "Q3")]):
        scores = scored((document, found(mark(ANN, "Q1"), *extra)))
        assert (scores.links, scores.marks, scores.linked) == (Counts(tp=1), Counts(tp=1), 1)


def test_nothing_outside_of_the_annotated_scope_counts() -> None:
    scores = scored(
        (
            gold(GoldMention(*ANN, "Q1"), GoldMention(*BOB, "Q2"), scope=(4, 18)),
            found(
                mark(BOB, "Q2"),
                mark(ULM, "Q3"),  # ends with the scope: inside, a false positive
                mark((15, 22), "Q3"),  # reaches out of it
                mark(ROME, "Q3"),
            ),
        )
    )
    assert (scores.links, scores.marks) == (Counts(tp=1, fp=1), Counts(tp=1, fp=1))


def test_documents_are_pooled() -> None:
    one = (gold(GoldMention(*ANN, "Q1")), found(mark(ANN, "Q1")))
    other = (gold(GoldMention(*BOB, "Q2"), GoldMention(*ULM, "Q3")), found(mark(BOB, "Q1")))
    scores = scored(one, other, (gold(), found()))
    assert (scores.documents, scores.links) == (3, Counts(tp=1, fp=1, fn=2))
    assert scores.to_dict()["links"] == {"precision": 1 / 2, "recall": 1 / 3, "f1": pytest.approx(0.4)}
    assert scores.to_dict()["mentions"] == 3


@pytest.mark.parametrize(
    ("counts", "figures"),
    [
        (Counts(), (1, 1, 1)),  # nothing to find, nothing found
        (Counts(fp=2), (0, 0, 0)),
        (Counts(fn=2), (0, 0, 0)),
        (Counts(tp=3), (1, 1, 1)),
    ],
)
def test_figures_of_empty_counts(counts: Counts, figures: tuple[float, ...]) -> None:
    assert (counts.precision, counts.recall, counts.f1) == figures


def test_accuracy_asks_for_the_best_candidate_of_reachable_gold_on_exact_spans() -> None:
    scores = scored(
        (
            gold(
                *(GoldMention(*span, q) for span, q in ((ANN, "Q1"), (BOB, "Q2"), (EVE, "Q99"), (ROME, "Q3")))
            ),
            found(
                mark(ANN, None, "Q1", "Q2"),  # right, though below the threshold
                mark(BOB, "Q1", "Q1", "Q2"),  # second best does not do
                mark(EVE, "Q1", "Q1"),  # the knowledge base lacks Q99: not asked
            ),  # Rome was not marked: not asked
        )
    )
    assert (scores.asked, scores.answered, scores.accuracy) == (2, 1, 0.5)
    assert Scores().accuracy == Scores().coverage == 0


# --- a small knowledge base, and a linker that knows nothing but what it is told ---

ENTITIES = [
    Entity("Q1", "Ann", qid="Q1", wikipedia_title="Ann"),
    Entity("Q2", "Bob", qid="Q2", wikipedia_title="Bob (man)", prior=10.0),
    Entity("Q3", "Bob", qid="Q3", wikipedia_title="Bob (dog)"),
    Entity("Q9", "Eve", qid="Q9"),
]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("scores") / "kb"
    dice = np.random.default_rng(0)
    build_kb(
        ENTITIES,
        lambda texts: dice.normal(size=(len(texts), 8)),
        folder,
        fingerprint="0",
        model_name="none",
    )
    return KnowledgeBase.open(folder)


def test_gold_ids_are_looked_up_by_item_and_by_page(kb: KnowledgeBase) -> None:
    resolve = resolver(kb)
    assert resolve("Q2") == "Q2"
    assert resolve("enwiki:Ann") == "Q1"
    assert resolve("enwiki:Bob (dog)") == "Q3"
    # A page of that name is not known, only labels of other things.
    assert resolve("enwiki:Bob") is None
    assert resolve("enwiki:Eve") is None
    assert resolve("Q77") is None


class Told:
    """Marks Ann only with a bias of 0.5 or more; Bob's two candidates are told apart by their priors."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb = kb
        self.calibration, self.min_score, self.top_k = Calibration(), 0.77, 5
        self.broken = False
        self.marks: Callable[[float], bool] = lambda bias: bias >= 0.5
        self.ann: Callable[[float], tuple[tuple[str, float], ...]] = lambda coherence: (("Q1", 0.8),)

    def mark(self, documents: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, bool]]:
        if self.broken:
            raise KeyboardInterrupt
        for identifier, text in documents:
            yield identifier, text, self.marks(self.calibration.mark_bias)

    def retrieve(self, marked: Sequence[tuple[str, str, bool]]) -> list[LinkedDocument]:
        bob = self.mention(BOB, ("Q3", 0.8), ("Q2", 0.79))
        eve = self.mention(EVE, ("Q9", 0.5))
        first = self.mention(ANN, *self.ann(self.calibration.coherence))
        return [
            LinkedDocument(
                identifier,
                text,
                (*([first] if ann else []), bob, eve, self.mention(ROME)),
            )
            for identifier, text, ann in marked
        ]

    def mention(self, span: tuple[int, int], *scored: tuple[str, float]) -> Mention:
        candidates = tuple(Candidate(entity, entity, value) for entity, value in scored)
        return Mention(*span, TEXT[slice(*span)], candidates=candidates)


CORPUS = [gold(GoldMention(*ANN, "Q1"), GoldMention(*BOB, "Q2"), GoldMention(*EVE, None))] * 3


def choose(linker: Told, **corpora: Sequence[GoldDocument]) -> tuple[Calibration, float]:
    choice = calibrate(linker, corpora)  # type: ignore[arg-type]
    return choice.calibration, choice.f1


def test_calibration_finds_the_smallest_values_that_are_best(kb: KnowledgeBase) -> None:
    linker = Told(kb)
    assert choose(linker, one=CORPUS) == (
        # Ann needs the bias; Bob the man is known better than the dog; Eve's 0.5 must not be linked.
        Calibration(mark_bias=0.5, min_score=0.52, prior_weight=0.002),
        1.0,
    )
    assert (linker.calibration, linker.min_score, linker.top_k) == (Calibration(), 0.77, 5)


@pytest.mark.parametrize("best", [-1.5, -0.5, 0.0, 1.0, 2.0])
def test_the_bias_is_looked_for_on_both_sides(kb: KnowledgeBase, best: float) -> None:
    class Nearer(Told):
        def retrieve(self, marked: Sequence[tuple[str, str, bool]]) -> list[LinkedDocument]:
            # The nearer the bias to the best, the more of the texts have Ann.
            far = round(2 * abs(self.calibration.mark_bias - best))
            ann = self.mention(ANN, ("Q1", 0.8))
            return [
                LinkedDocument(identifier, text, (ann,) if number >= far else ())
                for number, (identifier, text, _) in enumerate(marked)
            ]

    calibration, f1 = choose(Nearer(kb), one=[gold(GoldMention(*ANN, "Q1"))] * 9)
    assert (calibration.mark_bias, f1) == (best, 1.0)


def test_calibration_is_of_the_mean_over_corpora_whatever_their_sizes(kb: KnowledgeBase) -> None:
    # In the long corpus Eve is Q9, in two short ones she is nobody: linking her is wrong for the mean.
    nobody = CORPUS[:1]
    somebody = [gold(GoldMention(*ANN, "Q1"), GoldMention(*BOB, "Q2"), GoldMention(*EVE, "Q9"))] * 50
    calibration, f1 = choose(Told(kb), long=somebody, one=nobody, two=nobody)
    assert calibration.min_score == 0.52
    # In the long one two of three links are found, all of them right: F1 is 0.8.
    assert f1 == pytest.approx((0.8 + 1 + 1) / 3)


def test_coherence_is_used_only_where_it_helps(kb: KnowledgeBase) -> None:
    linker = Told(kb)
    assert choose(linker, one=CORPUS)[0].coherence == 0.0
    linker.marks = lambda bias: True  # and it is another's without coherence
    linker.ann = lambda coherence: (("Q9", 0.9), ("Q1", 0.7 + coherence))
    assert choose(linker, one=CORPUS)[0].coherence == 0.25
    assert choose(linker, one=CORPUS)[1] == 1.0


def test_equal_scores_go_to_the_smaller_id_as_in_the_linker(kb: KnowledgeBase) -> None:
    linker = Told(kb)
    tie = linker.mention(BOB, ("Q3", 0.8), ("Q1", 0.8))
    linker.mention = lambda span, *scored: tie  # type: ignore[method-assign]
    assert choose(linker, one=[gold(GoldMention(*BOB, "Q1"))])[1] == 1.0
    assert choose(linker, one=[gold(GoldMention(*BOB, "Q3"))])[1] == 0.0


def test_a_broken_calibration_leaves_the_linker_as_it_was(kb: KnowledgeBase) -> None:
    linker = Told(kb)
    linker.broken = True
    with pytest.raises(KeyboardInterrupt):
        choose(linker, one=CORPUS)
    assert (linker.calibration, linker.min_score, linker.top_k) == (Calibration(), 0.77, 5)
