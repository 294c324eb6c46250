"""A corpus measured and shown: figures worked out by hand, values through JSON, and the page as HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import documents
from tiny import BIAS, SENTENCES, tiny_backbone

from onegen_el.document import Candidate, Entity, LinkedDocument, Mention
from onegen_el.errors import InputError
from onegen_el.evaluation.answers import Answers, Seconds, ask, wanted
from onegen_el.evaluation.gerbil import Experiment
from onegen_el.evaluation.matching import Counts, SpanMatch
from onegen_el.evaluation.measures import Measures
from onegen_el.evaluation.measuring import Meter, Settings
from onegen_el.evaluation.outcome import (
    LINKS,
    MARKS,
    Conditions,
    Evaluation,
    Missing,
    Outcome,
    common,
    read_figures,
)
from onegen_el.evaluation.page import html
from onegen_el.evaluation.tables import classes, gerbil, markdown, notes, scorings, summary, terminal
from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.gold.document import gold_document
from onegen_el.knowledge import KnowledgeBase, build_kb
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration

NASTY = 'Leeds "United" <b>&'
ENTITIES = [
    Entity("Q1", "Lisbon", "city", prior=4.0, qid="Q1", wikipedia_title="Lisbon"),
    Entity("Q2", "Oslo", "city", prior=3.0, qid="Q2", wikipedia_title="Oslo"),
    Entity("Q3", NASTY, "club", prior=2.0, qid="Q3", wikipedia_title=NASTY),
]
VOID = {"meta"}


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    backbone, folder = tiny_backbone("llama"), tmp_path_factory.mktemp("kb") / "kb"
    build_kb(
        ENTITIES, backbone.embed_entities, folder, fingerprint=backbone.fingerprint, model_name=backbone.name
    )
    return KnowledgeBase.open(folder)


def gold(identity: str, text: str, *mentions: tuple[str, str | None]) -> GoldDocument:
    return gold_document(
        identity,
        text,
        [GoldMention(text.index(name), text.index(name) + len(name), entity) for name, entity in mentions],
    )


def answer(document: GoldDocument, *mentions: tuple[str, str | None, float]) -> LinkedDocument:
    """Mentions by surface, entity (None: NIL) and score; the best candidate of a NIL is Q3."""
    text = document.text
    found = [
        Mention(
            text.index(name),
            text.index(name) + len(name),
            name,
            entity,
            score=score,
            candidates=(Candidate(entity or "Q3", "", score),),
        )
        for name, entity, score in mentions
    ]
    return LinkedDocument(document.id, text, tuple(sorted(found, key=lambda m: m.start)))


FIRST = gold(
    "first", "Lisbon beat Oslo when Maria met Leeds <script>alert('&')</script> in Bergen.",
    ("Lisbon", "Q1"), ("Oslo", "enwiki:Oslo"), ("Maria", None), ("Leeds", "Q3"), ("Bergen", "Q99"),
)  # fmt: skip
SECOND = gold("second", "Oslo was quiet.", ("Oslo", "Q2"))
THIRD = gold("third", "Nobody came.")
GOLD = [FIRST, SECOND, THIRD]
ANSWERS = (
    # Lisbon right, Oslo linked to Lisbon, Maria right as NIL, Leeds held back, Bergen with a wrong span.
    answer(
        FIRST,
        ("Lisbon", "Q1", 0.9),
        ("Oslo", "Q1", 0.8),
        ("Maria", None, 0.2),
        ("Leeds", None, 0.4),
        ("in Bergen", "Q2", 0.7),
    ),
    answer(SECOND, ("Oslo", "Q2", 0.6)),
    # Spurious.
    answer(THIRD, ("Nobody", "Q3", 0.5)),
)
CONDITIONS = Conditions(
    "tiny <model>", "kb", 3, "f00", 0.5, "0.1", "2026-11-21", "a machine", "cpu", 1.25
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome(kb: KnowledgeBase) -> Outcome:
    answers = Answers(ANSWERS, scored=True, threshold=0.45, seconds=Seconds(0.5, 1.0, 2))
    return Meter(kb, Settings()).measure("three", GOLD, answers)


def evaluation(*outcomes: Outcome) -> Evaluation:
    missing = (Missing("aida", "AIDA <CoNLL>", "ask NIST | then fetch"),)
    return Evaluation(CONDITIONS, outcomes, missing)


def of(outcome: Outcome, run: str, part: str, items: str) -> Counts:
    block = outcome.block(run, part, items)
    assert block is not None
    return block.counts


def test_figures_worked_out_by_hand(outcome: Outcome) -> None:
    # Spans: all are right but Bergen, which is missed; "in Bergen" and Nobody are too many.
    marks = 2 * 5 / (2 * 5 + 2 + 1)
    assert outcome.marks == Measures(5 / 7, 5 / 6, pytest.approx(marks))
    # Links: Lisbon and the second Oslo of five; wrong are Oslo, Bergen, Nobody.
    assert outcome.links == Measures(2 / 5, 2 / 5, pytest.approx(2 / 5))
    assert of(outcome, "A2KB", "A2KB", "InKB") == Counts(2, 3, 3)
    assert of(outcome, "A2KB", "A2KB", "EE") == Counts(1, 1, 0)  # Maria; Leeds as NIL
    assert of(outcome, "A2KB", "Entity Recognition", "all") == Counts(5, 2, 1)
    # On gold spans: Lisbon, Oslo, Leeds, Oslo; Bergen got no answer on its span.
    assert of(outcome, "A2KB", "D2KB", "InKB") == Counts(2, 1, 3)
    # Q99 is not in the knowledge base; of Lisbon, Oslo, Leeds, Oslo all but the first Oslo have the best one.
    assert (outcome.coverage, outcome.accuracy) == (4 / 5, 3 / 4)
    assert (outcome.documents, outcome.mentions, outcome.unanswered, outcome.left_out) == (3, 6, 0, 0)
    assert outcome.accuracy_given is None, "the spans of gold were not given"
    links, marked = outcome.tally(LINKS), outcome.tally(MARKS)
    assert links is not None and marked is not None
    assert links.counts == (Counts(1, 2, 3), Counts(1, 0, 0), Counts(0, 1, 0))
    assert links.interval[0] <= 2 / 5 <= links.interval[1]
    assert sum(marked.counts, Counts()) == Counts(5, 2, 1)


def test_every_mention_has_a_class(outcome: Outcome) -> None:
    counts = {kind.name: kind.count for kind in outcome.classes}
    assert counts == {
        "right link": 2,
        "right NIL": 1,
        "wrong entity": 1,
        "link answered NIL": 1,
        "NIL linked": 0,
        "wrong span, right entity": 0,
        "wrong span and entity": 1,
        "missed": 0,
        "spurious": 1,
        "not in KB": 1,
    }
    (wrong,) = next(kind for kind in outcome.classes if kind.name == "wrong entity").examples
    assert (wrong.before, wrong.surface, wrong.document) == ("Lisbon beat ", "Oslo", "first")
    assert wrong.gold and wrong.found
    assert (wrong.gold.entity, wrong.gold.url) == ("Q2", "https://en.wikipedia.org/wiki/Oslo")
    assert (wrong.found.entity, wrong.found.title) == ("Q1", "Lisbon")
    (lacking,) = next(kind for kind in outcome.classes if kind.name == "not in KB").examples
    assert lacking.gold and lacking.gold.url == "https://www.wikidata.org/wiki/Q99"


def test_the_curve_sees_what_the_threshold_held_back(outcome: Outcome) -> None:
    assert outcome.curve is not None
    lowest = outcome.curve.points[0]
    # With all best candidates Leeds is right too, and Maria is linked: 3 right, 4 wrong of 7 links.
    assert (lowest.threshold, lowest.precision, lowest.recall, lowest.nil_rate) == (0.2, 3 / 7, 3 / 5, 0.0)
    own = next(
        p for p in outcome.curve.points if outcome.curve.own is not None and p.threshold > outcome.curve.own
    )
    assert own.f1 == pytest.approx(outcome.links.f1)
    assert outcome.curve.best.f1 == max(point.f1 for point in outcome.curve.points)


def test_gold_against_itself_is_perfect_and_order_does_not_matter(kb: KnowledgeBase) -> None:
    def itself(document: GoldDocument) -> LinkedDocument:
        text = document.text
        mentions = tuple(Mention(m.start, m.end, text[m.start : m.end], m.entity) for m in document.mentions)
        return LinkedDocument(document.id, text, mentions)

    perfect = tuple(map(itself, GOLD))
    meter = Meter(kb, Settings())
    whole = meter.measure("x", GOLD, Answers(perfect))
    assert {block.micro.f1 for block in whole.blocks} == {block.macro.f1 for block in whole.blocks} == {1.0}
    assert {kind.name for kind in whole.classes if kind.count} == {"right link", "right NIL"}
    assert whole.marks == whole.links == Measures(1.0, 1.0, 1.0)
    assert (whole.curve, whole.seconds, whole.accuracy) == (None, None, None)
    ahead = meter.measure("x", GOLD, Answers(ANSWERS))
    behind = meter.measure("x", GOLD[::-1], Answers(ANSWERS[::-1]))
    assert [block.counts for block in ahead.blocks] == [block.counts for block in behind.blocks]
    assert ahead.scorings == behind.scorings


@pytest.mark.parametrize("name", list(Experiment))
@pytest.mark.parametrize("match", ["strong", "weak"])
def test_every_experiment_is_shown(kb: KnowledgeBase, name: Experiment, match: str) -> None:
    measured = Meter(kb, Settings(name, SpanMatch(match))).measure("x", GOLD, Answers(ANSWERS, scored=True))
    parts = {"a2kb": "A2KB", "d2kb": "D2KB", "c2kb": "C2KB", "erec": "ERec"}
    assert measured.block(name.upper(), parts[name], "all") is not None
    assert f"{match} match" in gerbil(measured).title
    assert gerbil(measured).rows[0][:3] == (name.upper(), parts[name], "all")
    assert Outcome.from_dict(json.loads(json.dumps(measured.to_dict()))) == measured
    tags(html(evaluation(measured)))
    if (name, match) == ("a2kb", "weak"):
        # "in Bergen" overlaps Bergen now, Q2 is still wrong; spans alone: only Nobody is too many.
        assert of(measured, "A2KB", "A2KB", "InKB") == Counts(2, 3, 3)
        assert of(measured, "A2KB", "Entity Recognition", "all") == Counts(6, 1, 0)


def test_answers_that_do_not_count_are_told(kb: KnowledgeBase) -> None:
    scoped = replace(FIRST, scope=(0, 16))
    measured = Meter(kb, Settings()).measure("x", [scoped, SECOND, THIRD], Answers((*ANSWERS[:2], None)))
    assert (measured.mentions, measured.left_out, measured.unanswered) == (3, 3, 1)
    assert notes(measured) == [
        "x: 1 document without an answer: they count as answered with nothing",
        "x: 3 answers outside of what gold annotated, or on optional gold: not counted",
    ]


# --- JSON ---


def test_figures_survive_json(outcome: Outcome, tmp_path: Path) -> None:
    whole = evaluation(outcome, replace(outcome, name="again", curve=None, seconds=None, accuracy=None))
    (tmp_path / "figures.json").write_text(whole.to_json(), "utf-8")
    assert read_figures(tmp_path / "figures.json") == whole
    row = json.loads(whole.to_json())
    assert (row["model"], row["entities"], row["corpora"]["three"]["mentions"]) == ("tiny <model>", 3, 6)
    assert row == whole.to_dict() | {"corpora": json.loads(json.dumps(whole.to_dict()["corpora"]))}
    assert "[1, 2, 3]" in whole.to_json(), "lists of numbers are on one line"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "corpora": {"a": 3}}'])
def test_other_files_are_no_figures(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json: not figures of this onegen-el"):
        read_figures(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_figures(tmp_path / "y.json")


def test_only_the_same_can_be_compared(outcome: Outcome) -> None:
    one = evaluation(outcome)
    assert [pair[0].name for pair in common(one, one)] == ["three"]
    links = outcome.tallies[0]
    changed = replace(links, counts=(Counts(1, 2, 4), *links.counts[1:]))
    for other, message in (
        (replace(outcome, name="other"), "no corpus in common"),
        (replace(outcome, match="weak"), "differ in match"),
        (replace(outcome, ids=("a", "b", "c")), "differ in documents"),
        (replace(outcome, tallies=(changed,)), "gold was changed"),
    ):
        with pytest.raises(InputError, match=message):
            common(one, evaluation(other))


# --- tables ---


def test_tables_have_the_columns_of_the_terminal(outcome: Outcome) -> None:
    heads, line = terminal(summary([outcome]), title=False).splitlines()
    assert (
        " ".join(heads.split()) == "corpus documents marks P R F1 links P R F1 coverage accuracy documents/s"
    )
    assert line.split() == ["three", "3", "0.714", "0.833", "0.769", *["0.400"] * 3, "0.800", "0.750", "2.0"]
    for table in (summary([outcome]), scorings([outcome]), classes([outcome]), gerbil(outcome)):
        assert {len(row) for row in table.rows} == {len(table.heads)}
    escape = replace(outcome, name="a\x1b[31m\nb")
    assert "\x1b" not in terminal(summary([escape]))
    assert "\x1b" in terminal(summary([outcome]), color=True)
    assert len(terminal(summary([escape]), title=False).splitlines()) == 2


def test_markdown_tables_are_whole(outcome: Outcome) -> None:
    text = markdown(evaluation(replace(outcome, name="a|b <i>")))
    assert r"a\|b \<i\>" in text
    assert r"ask NIST \| then fetch" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            widths = {line.replace(r"\|", "").count("|") for line in block.splitlines()}
            assert len(widths) == 1, block


# --- the page ---


class Page(HTMLParser):
    """Checks that tags are closed in order and notes what would be fetched or run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        values = dict(attrs)
        assert not {"src", "srcset", "data", "onclick", "onload", "xlink:href"} & set(values)
        if "href" in values:
            self.links.append(values["href"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def tags(page: str) -> Page:
    parser = Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "i"} & set(parser.seen)
    assert all(link.startswith(("#corpus-", "https://", "http://")) for link in parser.links)
    assert "url(" not in page and "@import" not in page
    return parser


def test_the_page_is_self_contained_and_escaped(outcome: Outcome) -> None:
    page = html(evaluation(outcome, replace(outcome, name="<img src=x onerror=alert(1)>")))
    parsed = tags(page)
    assert "<script" not in page and "onerror" not in page.replace("&lt;img src=x onerror=alert(1)&gt;", "")
    assert "<script>alert('&')</script>" in parsed.text, "texts are shown as they are"
    assert f"{NASTY} (Q3)" in parsed.text
    assert "tiny <model>" in parsed.text
    assert "ask NIST | then fetch" in parsed.text
    assert "https://en.wikipedia.org/wiki/Oslo" in parsed.links
    assert "https://www.wikidata.org/wiki/Q99" in parsed.links
    assert parsed.seen.count("svg") == 4
    assert parsed.links[:2] == ["#corpus-1", "#corpus-2"]
    for what in ("Conditions", "f00", "2026-11-21", "a machine", "the first document took 0.50 s"):
        assert what in parsed.text


def test_examples_are_few_and_short(kb: KnowledgeBase) -> None:
    text = "x" * 300 + " Oslo " + "y" * 300
    many = [gold(str(number), text, ("Oslo", "Q2")) for number in range(25)]
    nothing = tuple(LinkedDocument(document.id, text) for document in many)
    for limit in (20, 3, 0):
        measured = Meter(kb, Settings(examples=limit)).measure("x", many, Answers(nothing))
        missed = next(kind for kind in measured.classes if kind.name == "missed")
        assert (missed.count, len(missed.examples)) == (25, limit)
        assert all(len(e.before) == len(e.after) == 101 for e in missed.examples)
        shown = html(evaluation(measured))
        assert shown.count("<li>") == limit
        assert ("3 of them here" in shown) == (limit == 3)


@given(st.lists(documents(), min_size=1, max_size=3))
@settings(max_examples=25)
def test_any_texts_give_a_whole_page(kb: KnowledgeBase, found: list[LinkedDocument]) -> None:
    named = [replace(document, id=str(number)) for number, document in enumerate(found)]
    wholes: Sequence[GoldDocument] = [gold_document(d.id, d.text, []) for d in named]
    measured = Meter(kb, Settings()).measure("x", wholes, Answers(tuple(named), scored=True, threshold=0.0))
    tags(html(evaluation(measured)))
    assert sum(kind.count for kind in measured.classes) == sum(len(d.mentions) for d in named)


# --- asking a linker ---


@pytest.fixture(scope="module")
def linker(kb: KnowledgeBase) -> EntityLinker:
    made = EntityLinker(tiny_backbone("llama"), kb, batch_size=4)
    made.calibration = Calibration(mark_bias=BIAS)
    made.min_score = -1.0
    return made


def test_accuracy_on_given_spans_is_that_of_all_reachable_gold(kb: KnowledgeBase) -> None:
    # Bergen's entity is in no knowledge base; of the four others three have the right best candidate.
    given = (
        answer(
            FIRST, ("Lisbon", "Q1", 0.9), ("Oslo", "Q1", 0.8), ("Leeds", None, 0.1), ("Bergen", "Q2", 0.7)
        ),
        answer(SECOND, ("Oslo", "Q2", 0.6)),
        answer(THIRD),
    )
    answers = Answers((answer(FIRST), answer(SECOND), answer(THIRD)), given, scored=True)
    outcome = Meter(kb, Settings()).measure("three", GOLD, answers)
    assert (outcome.accuracy, outcome.accuracy_given) == (None, 3 / 4)
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))).accuracy_given == 3 / 4


def test_a_linker_is_asked_with_and_without_spans(linker: EntityLinker) -> None:
    texts = [gold(str(n), text) for n, text in enumerate(SENTENCES)]
    texts[1] = gold("1", SENTENCES[1], ("Northwind Airlines", None), ("Oslo", "Q2"))
    told: list[int] = []
    answers = ask(linker, texts, progress=lambda done, _rate: told.append(done))
    plain = list(linker.annotate((d.id, d.text) for d in texts))
    spans = [[(m.start, m.end, m.entity) for m in document.mentions] for document in plain]
    assert [[(m.start, m.end, m.entity) for m in d.mentions] for d in answers.documents if d] == spans
    assert sum(map(len, spans)) > 0
    assert answers.given is not None
    assert [m.surface for m in answers.given[1].mentions] == ["Northwind Airlines", "Oslo"]
    assert told == [2, 3, 4, 5, 6, *range(1, 7)]
    assert answers.seconds and answers.seconds.documents == 5 and answers.seconds.rate > 0
    given_only = ask(linker, texts, Experiment.D2KB)
    assert given_only.documents == answers.given == given_only.given
    assert ask(linker, texts, Experiment.EREC).given is None


def test_gold_that_no_window_holds_is_counted(linker: EntityLinker) -> None:
    text = " ".join(SENTENCES)
    document = gold_document(
        "long", text, [GoldMention(0, len(text), "Q1"), GoldMention(15, 21, "Q1"), GoldMention(3, 4, "Q2")]
    )
    answers = ask(linker, [document], Experiment.D2KB)
    assert answers.given is not None
    assert [(m.start, m.end) for m in answers.given[0].mentions] == [(15, 21)]
    assert answers.unasked == 2  # one longer than a window, the other a space
    optional = replace(document, mentions=tuple(replace(m, optional=True) for m in document.mentions))
    assert wanted(optional) == wanted(replace(document, scope=(5, 9))) == []
