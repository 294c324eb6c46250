"""The spaCy component, on a tiny model that marks at random, beside the linker that it wraps."""

from __future__ import annotations

import json
import pickle
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import spacy
import torch
from hypothesis import given
from hypothesis import strategies as st
from spacy import displacy
from spacy.cli import app as commands
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from strategies import documents
from tiny import BIAS, SENTENCES, tiny_backbone
from typer.testing import CliRunner

from onegen_el.document import Entity, LinkedDocument, Mention
from onegen_el.errors import InputError, KBError, ModelError, OnegenError
from onegen_el.integrations.placing import place
from onegen_el.integrations.spacy import DISPLACY
from onegen_el.knowledge import build_kb
from onegen_el.linker import EntityLinker, load
from onegen_el.manifest import Calibration
from onegen_el.unicode import encodable

ROOT = Path(__file__).parent.parent
ENTITIES = [
    Entity(id=f"Q{n}", title=name, description=kind, types=(label,), qid=f"Q{n}")
    for n, (name, kind, label) in enumerate(
        [("Lisbon", "city", "LOC"), ("Maria Costa", "baker", "PER"), ("Leeds", "club", "ORG")], start=1
    )
]
TEXTS = [" ".join(SENTENCES[n:] + SENTENCES[:n]) for n in range(len(SENTENCES))]
BLANK = spacy.blank("en")
MADE_UP = {"label": "PLACE", "pattern": "Lisbon"}, {"label": "FIRM", "pattern": "Northwind Airlines"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model that marks now and then, and its knowledge base."""
    home = tmp_path_factory.mktemp("spacy")
    backbone = tiny_backbone("bert")
    before = backbone.manifest
    try:
        backbone.manifest = replace(before, calibration=Calibration(mark_bias=BIAS, min_score=-1.0))
        manifest = backbone.save(home / "model", dtype=torch.float32)
    finally:
        backbone.manifest = before
    build_kb(
        ENTITIES, backbone.embed_entities, home / "kb", fingerprint=manifest.fingerprint, model_name="tiny"
    )
    return {"model": str(home / "model"), "kb": str(home / "kb")}


@pytest.fixture(scope="module")
def linker(folders: dict[str, str]) -> EntityLinker:
    return load(**folders, device="cpu")


def pipeline(folders: dict[str, str], *before: str, **config: Any) -> Language:
    nlp = spacy.blank("en")
    for name in before:
        nlp.add_pipe(name)
    if "entity_ruler" in before:
        nlp.get_pipe("entity_ruler").add_patterns([*MADE_UP])
    nlp.add_pipe("onegen_el", config={**folders, "device": "cpu", **config})
    return nlp


def links(doc: Doc) -> list[tuple[Any, ...]]:
    return [(ent.start_char, ent.end_char, ent.label_, ent.kb_id_, ent._.onegen) for ent in doc.ents]


def bounds(doc: Doc) -> list[tuple[int, int, str | None]]:
    return [(m["start_char"], m["end_char"], m["entity"]) for m in doc._.onegen["mentions"]]


def test_entities_are_those_of_the_linker(folders: dict[str, str], linker: EntityLinker) -> None:
    doc = pipeline(folders)(TEXTS[0])
    truth = linker(TEXTS[0])
    assert doc.ents, "nothing was marked, so nothing was tested"
    assert [(e.text, e.label_, e.kb_id_) for e in doc.ents] == [
        (e.text, e.label_, e.kb_id_) for e in truth.ents
    ]
    assert bounds(doc) == bounds(truth)
    assert len(doc.ents) + doc._.onegen["dropped"] == len(doc._.onegen["mentions"])
    keys = {"start_char", "end_char", "surface", "entity", "title", "url", "score", "detection_score"}
    assert set(doc.ents[0]._.onegen) == {*keys, "candidates"}


def test_config_is_complete_and_says_what_is_assigned(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    config = nlp.config["components"]["onegen_el"]
    options = (
        "device",
        "batch_size",
        "top_k",
        "min_score",
        "ents",
        "spans_key",
        "mentions",
        "policy",
        "scorer",
    )
    assert set(config) == {"factory", "model", "kb", *options}
    analysis = nlp.analyze_pipes()
    assert not analysis["problems"]["onegen_el"]
    assert {"doc.ents", "token.ent_kb_id", "doc._.onegen", "span._.onegen"} <= set(
        analysis["summary"]["onegen_el"]["assigns"]
    )


@pytest.mark.parametrize(
    ("option", "value"), [("ents", "all"), ("mentions", "ner"), ("top_k", 0), ("batch_size", 0)]
)
def test_impossible_options_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InputError, match=option):
        spacy.blank("en").add_pipe("onegen_el", config={option: value})


def test_spans_key_must_not_be_empty() -> None:
    with pytest.raises(InputError, match="spans_key"):
        spacy.blank("en").add_pipe("onegen_el", config={"ents": "spans", "spans_key": ""})


def test_top_k_and_min_score_reach_the_linker(folders: dict[str, str]) -> None:
    doc = pipeline(folders, top_k=2, min_score=9.0)(TEXTS[0])
    assert doc.ents
    assert {ent.kb_id_ for ent in doc.ents} == {""}
    assert all(len(ent._.onegen["candidates"]) == 2 for ent in doc.ents)


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_pipe_gives_what_single_calls_give(folders: dict[str, str], batch_size: int) -> None:
    nlp = pipeline(folders, "sentencizer", batch_size=3)
    texts = [*TEXTS, "", TEXTS[0], " "]
    docs = list(nlp.pipe(texts, batch_size=batch_size))
    assert [doc.text for doc in docs] == texts
    assert [bounds(doc) for doc in docs] == [bounds(nlp(text)) for text in texts]
    assert all(list(doc.sents) for doc in docs if doc.text)


def test_pipe_reads_no_more_than_batch_size_ahead(folders: dict[str, str]) -> None:
    read: list[int] = []
    docs = (read.append(n) or text for n, text in enumerate(TEXTS * 3))
    next(iter(pipeline(folders).pipe(docs, batch_size=2)))
    assert len(read) <= 5


def test_as_tuples(folders: dict[str, str]) -> None:
    pairs = list(pipeline(folders).pipe([("Oslo", 1), (TEXTS[0], 2), ("", 3)], as_tuples=True))
    assert [(doc.text, context) for doc, context in pairs] == [("Oslo", 1), (TEXTS[0], 2), ("", 3)]


def test_workers_open_the_linker_themselves(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    alone = [links(doc) for doc in nlp.pipe(TEXTS)]  # opened here first: must not be used over there
    together = [links(doc) for doc in nlp.pipe(TEXTS, n_process=2, batch_size=2)]
    assert [[row[:4] for row in doc] for doc in together] == [[row[:4] for row in doc] for doc in alone]
    assert all(row[4]["candidates"] for doc in together for row in doc)


def test_nothing_heavy_is_pickled(folders: dict[str, str]) -> None:
    component = pipeline(folders).get_pipe("onegen_el")
    component(spacy.blank("en")(TEXTS[0]))
    data = pickle.dumps(component)
    assert len(data) < 5000
    doc = pickle.loads(data)(spacy.blank("en")(TEXTS[0]))
    assert doc.ents


def test_threads_wait_for_one_another(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    with ThreadPoolExecutor(6) as pool:
        docs = list(pool.map(nlp, TEXTS * 4))
    assert [bounds(doc) for doc in docs] == [bounds(nlp(text)) for text in TEXTS] * 4


def test_set_replaces_other_entities_and_counts_them(folders: dict[str, str]) -> None:
    doc = pipeline(folders, "entity_ruler")(TEXTS[0])
    assert links(doc) == links(pipeline(folders)(TEXTS[0]))
    assert doc._.onegen["replaced"] == 2


def test_spans_leaves_other_entities_alone(folders: dict[str, str]) -> None:
    doc = pipeline(folders, "entity_ruler", ents="spans", spans_key="links")(TEXTS[0])
    assert [(ent.text, ent.label_) for ent in doc.ents] == [
        ("Lisbon", "PLACE"),
        ("Northwind Airlines", "FIRM"),
    ]
    spans = doc.spans["links"]
    assert len(spans) + doc._.onegen["dropped"] == len(doc._.onegen["mentions"]) > 0
    assert all(span.kb_id_ == span._.onegen["entity"] for span in spans)


def other(doc: Doc, start: int, end: int, kb_id: str = "") -> Span:
    return Span(doc, start, end, label="OTHER", kb_id=kb_id, span_id="rule-7")


def test_fill_gives_ids_to_equal_entities_and_lets_the_longest_win() -> None:
    doc = Doc(spacy.blank("en").vocab, words=["A", "B", "C", "D", "E", "F", "G", "H"])
    doc.ents = [other(doc, 0, 1), other(doc, 1, 2, "own"), other(doc, 2, 3), other(doc, 5, 8)]
    found = [
        Mention(0, 1, "A", "Q1"),
        Mention(2, 3, "B", "Q2"),
        Mention(4, 7, "C D", "Q3"),
        Mention(8, 9, "E", "Q4", label="LOC"),
        Mention(10, 13, "F G", "Q5"),
    ]
    place(doc, found, "fill", "")
    assert [(ent.text, ent.label_, ent.kb_id_, ent.id_) for ent in doc.ents] == [
        ("A", "OTHER", "Q1", "rule-7"),
        ("B", "OTHER", "own", "rule-7"),
        ("C D", "ENT", "Q3", ""),
        ("E", "LOC", "Q4", ""),
        ("F G H", "OTHER", "", "rule-7"),
    ]
    facts = doc._.onegen
    assert (facts["dropped"], facts["replaced"], facts["misaligned"]) == (1, 1, 0)
    assert doc.ents[-1]._.onegen is None


@given(documents(), st.sampled_from(["set", "fill", "spans"]), st.data())
def test_nothing_is_lost_uncounted(document: LinkedDocument, ents: Any, data: st.DataObject) -> None:
    doc = BLANK(encodable(document.text))
    if len(doc):
        start = data.draw(st.integers(0, len(doc) - 1))
        doc.ents = [other(doc, start, data.draw(st.integers(start + 1, len(doc))))]
    before = len(doc.ents)
    place(doc, document.mentions, ents, "key")
    facts = doc._.onegen
    written = doc.spans["key"] if ents == "spans" else doc.ents
    ours = [span for span in written if span._.onegen is not None]
    assert len(ours) + facts["dropped"] == len(document.mentions) == len(facts["mentions"])
    for span in ours:
        assert span.start_char < span._.onegen["end_char"] and span._.onegen["start_char"] < span.end_char
    kept = sum(ent.label_ == "OTHER" for ent in doc.ents)
    assert kept + facts["replaced"] == before


@pytest.mark.parametrize("ents", ["set", "fill"])
def test_entities_of_another_component_are_linked_as_they_stand(
    folders: dict[str, str], linker: EntityLinker, ents: str
) -> None:
    doc = pipeline(folders, "entity_ruler", mentions="doc.ents", ents=ents)(TEXTS[0])
    truth = linker.link(TEXTS[0], [(ent.start_char, ent.end_char) for ent in doc.ents])
    assert [(ent.text, ent.label_) for ent in doc.ents] == [
        ("Lisbon", "PLACE"),
        ("Northwind Airlines", "FIRM"),
    ]
    assert [ent.kb_id_ for ent in doc.ents] == [mention.entity for mention in truth.mentions]
    assert all(ent.kb_id_ and ent._.onegen["candidates"] for ent in doc.ents)


def test_given_entities_with_an_id_are_asked_again_by_set_alone(folders: dict[str, str]) -> None:
    for ents, expected in (("set", {"Q1", "Q2", "Q3"}), ("fill", {"own"})):
        nlp = pipeline(folders, mentions="doc.ents", ents=ents)
        doc = nlp.make_doc(TEXTS[0])
        doc.ents = [Span(doc, 3, 4, label="PLACE", kb_id="own")]
        assert {ent.kb_id_ for ent in nlp(doc).ents} <= expected


def test_given_entities_may_be_linked_into_spans(folders: dict[str, str]) -> None:
    doc = pipeline(folders, "entity_ruler", mentions="doc.ents", ents="spans")(TEXTS[0])
    assert [ent.kb_id_ for ent in doc.ents] == ["", ""]
    assert [(s.text, bool(s.kb_id_)) for s in doc.spans["onegen_el"]] == [
        ("Lisbon", True),
        ("Northwind Airlines", True),
    ]


def test_given_entities_that_cannot_be_read_stay_and_are_counted(folders: dict[str, str]) -> None:
    nlp = pipeline(folders, mentions="doc.ents")
    doc = nlp.make_doc(TEXTS[0])
    doc.ents = [Span(doc, 3, 4, label="PLACE"), Span(doc, 5, len(doc), label="LONG")]
    doc = nlp(doc)
    assert [(ent.label_, bool(ent.kb_id_)) for ent in doc.ents] == [("PLACE", True), ("LONG", False)]
    assert doc._.onegen["skipped"] == 1


@pytest.mark.parametrize("mentions", ["generate", "doc.ents"])
@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_texts_without_anything(folders: dict[str, str], text: str, mentions: str) -> None:
    doc = pipeline(folders, mentions=mentions)(text)
    assert (doc.text, doc.ents, doc._.onegen["mentions"]) == (text, (), ())


def test_disabled_it_does_nothing(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    with nlp.select_pipes(disable="onegen_el"):
        assert nlp(TEXTS[0])._.onegen is None
    assert nlp(TEXTS[0])._.onegen["mentions"]


def test_docbin_keeps_details(folders: dict[str, str]) -> None:
    doc = pipeline(folders)(TEXTS[0])
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (again,) = DocBin(store_user_data=True).from_bytes(data).get_docs(spacy.blank("en").vocab)
    assert links(again) == links(doc)
    assert again._.onegen == doc._.onegen


def test_saved_and_loaded(folders: dict[str, str], tmp_path: Path) -> None:
    nlp = pipeline(folders, "sentencizer", top_k=2)
    nlp.to_disk(tmp_path / "saved")
    size = sum(path.stat().st_size for path in (tmp_path / "saved" / "onegen_el").rglob("*"))
    assert size < 2000, "references are saved, not data"
    again = spacy.load(tmp_path / "saved")
    assert again.config["components"] == nlp.config["components"]
    assert links(again(TEXTS[0])) == links(nlp(TEXTS[0]))
    assert links(pipeline(folders).from_bytes(pipeline(folders).to_bytes())(TEXTS[1]))


def copied(folders: dict[str, str], home: Path) -> dict[str, str]:
    return {kind: str(shutil.copytree(folder, home / kind)) for kind, folder in folders.items()}


@pytest.mark.parametrize("kind", ["model", "kb"])
def test_what_was_moved_says_so_and_can_be_found_again(
    folders: dict[str, str], tmp_path: Path, kind: str
) -> None:
    mine = copied(folders, tmp_path / "a")
    pipeline(mine).to_disk(tmp_path / "saved")
    moved = Path(mine[kind]).rename(tmp_path / "elsewhere")
    with pytest.raises(OnegenError, match=f"components.onegen_el.{kind}"):
        spacy.load(tmp_path / "saved")
    nlp = spacy.load(tmp_path / "saved", config={f"components.onegen_el.{kind}": str(moved)})
    assert nlp(TEXTS[0]).ents


def test_a_changed_kb_says_so(folders: dict[str, str], tmp_path: Path) -> None:
    mine = copied(folders, tmp_path / "a")
    nlp = pipeline(mine)
    nlp.to_disk(tmp_path / "saved")
    data = nlp.to_bytes()
    table = Path(mine["kb"]) / "entities.sqlite"
    table.write_bytes(table.read_bytes().replace(b"baker", b"maker"))
    for again in (lambda: spacy.load(tmp_path / "saved"), lambda: pipeline(mine).from_bytes(data)):
        with pytest.raises(KBError, match=r"entities\.sqlite: its checksum is wrong"):
            again()
    backbone = tiny_backbone("bert")
    fingerprint = json.loads((Path(mine["model"]) / "onegen_el.json").read_text())["fingerprint"]
    shutil.rmtree(mine["kb"])
    build_kb(ENTITIES[:2], backbone.embed_entities, mine["kb"], fingerprint=fingerprint, model_name="tiny")
    with pytest.raises(KBError, match="has changed since the spaCy pipeline was saved"):
        spacy.load(tmp_path / "saved")


def test_a_changed_model_says_so(folders: dict[str, str], tmp_path: Path) -> None:
    mine = copied(folders, tmp_path / "a")
    pipeline(mine).to_disk(tmp_path / "saved")
    manifest = Path(mine["model"]) / "onegen_el.json"
    row = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps({**row, "fingerprint": "f" * 64}), "utf-8")
    with pytest.raises(ModelError, match="has changed since"):
        spacy.load(tmp_path / "saved")


def test_a_damaged_reference_says_so(folders: dict[str, str], tmp_path: Path) -> None:
    pipeline(folders).to_disk(tmp_path / "saved")
    file = tmp_path / "saved" / "onegen_el" / "reference.json"
    file.write_text("{}")
    with pytest.raises(InputError, match=r"reference\.json: is not what"):
        spacy.load(tmp_path / "saved")
    file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        spacy.load(tmp_path / "saved")


def test_what_is_missing_is_said_at_initialize() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("onegen_el", config={"kb": "no/such/folder/anywhere"})
    with pytest.raises(KBError, match="component 'onegen_el'"):
        nlp.initialize()


def test_device_is_that_of_the_config(folders: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="abacus"):
        pipeline(folders, device="abacus").initialize()


def test_a_gpu_is_not_used_after_a_fork(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    component = nlp.get_pipe("onegen_el")
    component._linker = SimpleNamespace(backbone=SimpleNamespace(device=torch.device("cuda")))
    component._process = -1  # as in a child process
    with pytest.raises(ModelError, match="spawn"):
        nlp(TEXTS[0])


def test_two_components_keep_apart(folders: dict[str, str]) -> None:
    nlp = pipeline(folders, ents="spans", spans_key="first")
    nlp.add_pipe("onegen_el", name="again", config={**folders, "ents": "spans", "spans_key": "second"})
    doc = nlp(TEXTS[0])
    assert [(s.start, s.end, s.kb_id_) for s in doc.spans["first"]] == [
        (s.start, s.end, s.kb_id_) for s in doc.spans["second"]
    ]
    assert doc.spans["first"] and not doc.ents


def test_assemble(folders: dict[str, str], tmp_path: Path) -> None:
    nlp = pipeline(folders, "sentencizer")
    nlp.config.to_disk(tmp_path / "config.cfg")
    result = CliRunner().invoke(commands, ["assemble", str(tmp_path / "config.cfg"), str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert links(spacy.load(tmp_path / "out")(TEXTS[0])) == links(nlp(TEXTS[0]))


def test_scores_are_spacys(folders: dict[str, str]) -> None:
    nlp = pipeline(folders)
    gold = nlp(TEXTS[0])
    reference = nlp.make_doc(TEXTS[0])
    first, *rest = gold.ents
    wrong = Span(reference, first.start, first.end, label=first.label_, kb_id="Q999")
    reference.ents = [wrong, *(Span(reference, e.start, e.end, e.label_, kb_id=e.kb_id_) for e in rest)]
    scores = nlp.evaluate([Example(nlp.make_doc(TEXTS[0]), reference)])
    assert scores["ents_f"] == 1.0
    assert scores["nel_micro_f"] == pytest.approx(len(rest) / len(gold.ents))
    assert scores["nel_micro_f"] < 1


def test_unlinked_entities_are_no_right_links(folders: dict[str, str]) -> None:
    nlp = pipeline(folders, min_score=9.0)
    scores = nlp.evaluate([Example(nlp.make_doc(TEXTS[0]), nlp(TEXTS[0]))])
    assert (scores["ents_f"], scores["nel_micro_f"]) == (1.0, 0.0)


def test_displacy_links_what_has_a_page() -> None:
    doc = Doc(spacy.blank("en").vocab, words=["A", "B", "C"])
    doc.ents = [
        Span(doc, 0, 1, "LOC", kb_id="Q84"),
        Span(doc, 1, 2, "PER", kb_id="enwiki:Ann Lee"),
        Span(doc, 2, 3, "ENT", kb_id="mine-1"),
    ]
    html = displacy.render(doc, style="ent", options=DISPLACY, jupyter=False)
    assert 'href="https://www.wikidata.org/wiki/Q84"' in html
    assert 'href="https://en.wikipedia.org/wiki/Ann_Lee"' in html
    assert "wiki/mine-1" not in html


def test_a_failing_text_costs_only_itself(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = pipeline(folders)
    component = nlp.get_pipe("onegen_el")
    annotate = component._annotate

    def break_on_boom(docs: list[Doc]) -> None:
        if any(doc.text == "boom" for doc in docs):
            raise RuntimeError("boom")
        annotate(docs)

    monkeypatch.setattr(component, "_annotate", break_on_boom)
    with pytest.raises(RuntimeError, match="boom"):
        list(nlp.pipe(["a", "boom", "b"]))
    failed: list[str] = []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.extend(doc.text for doc in docs))
    assert [doc.text for doc in nlp.pipe(["a", "boom", "b"])] == ["a", "b"]
    assert failed == ["boom"]


def test_the_built_wheel_serves_spacy_through_its_entry_point(tmp_path: Path) -> None:
    """The package without its bundled data, which are pointed at: compressing them takes a minute."""
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "onegen_el", source / "onegen_el", ignore=shutil.ignore_patterns("bundled", "__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--wheel-dir", str(tmp_path)]
    try:
        import hatchling  # noqa: F401
    except ImportError:
        pass  # pip then fetches it
    else:
        options.append("--no-build-isolation")
    build = subprocess.run([*pip, "wheel", *options, str(source)], capture_output=True, text=True)
    if build.returncode and "--no-build-isolation" not in options:
        pytest.skip(f"hatchling is not installed and cannot be fetched: {build.stderr[-300:]}")
    assert not build.returncode, build.stderr
    (wheel,) = tmp_path.glob("*.whl")
    home = tmp_path / "clean"
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    # The libraries below come from here; no .pth of an editable install is read in this folder.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = """
import spacy
nlp = spacy.blank("en"); nlp.add_pipe("onegen_el", config=CONFIG)
doc = nlp("Angela Merkel flew to Paris, the capital of France.")
import onegen_el
print(onegen_el.__file__, [ent.kb_id_ for ent in doc.ents])
""".replace("CONFIG", repr({kind: str(ROOT / "onegen_el" / "bundled" / kind) for kind in ("model", "kb")}))
    python = Path(sysconfig.get_path("scripts", "venv", {"base": str(home)})) / "python"
    run = subprocess.run([python, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert not run.returncode, run.stderr
    assert run.stdout.startswith(str(site))
    assert "'Q567'" in run.stdout and "'Q90'" in run.stdout


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("spacy_*.py")), ids=lambda path: path.stem)
def test_example_scripts_run(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    assert "Q567" in capsys.readouterr().out
