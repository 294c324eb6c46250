"""The linker on tiny random models: offsets, order, batching, long and odd texts, given spans, errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from strategies import TEXTS
from tiny import BIAS, SENTENCES, tiny_backbone

from onegen_el.backbone import Backbone, load_backbone
from onegen_el.document import Entity
from onegen_el.errors import InputError, KBError, ModelError
from onegen_el.knowledge import KnowledgeBase, build_kb
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration
from onegen_el.windows import WindowSettings

ENTITIES = [
    Entity(id=f"Q{n}", title=name, description=kind, types=(label,), prior=float(n), qid=f"Q{n}")
    for n, (name, kind, label) in enumerate(
        [
            ("Lisbon", "city", "LOC"),
            ("Oslo", "city", "LOC"),
            ("Maria Costa", "baker", "PER"),
            ("Leeds", "club", "ORG"),
        ]
    )
]


@pytest.fixture(scope="module", params=["bert", "llama"])
def linker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EntityLinker]:
    """A linker whose model marks at random, now and then."""
    backbone = tiny_backbone(request.param)
    folder = tmp_path_factory.mktemp(request.param) / "kb"
    kb = make_kb(backbone, folder)
    linker = EntityLinker(backbone, kb, batch_size=4)
    linker.calibration = Calibration(mark_bias=BIAS)
    linker.min_score = -1.0
    yield linker


def make_kb(backbone: Backbone, folder: Path) -> KnowledgeBase:
    build_kb(
        ENTITIES, backbone.embed_entities, folder, fingerprint=backbone.fingerprint, model_name=backbone.name
    )
    return KnowledgeBase.open(folder)


@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=25)
def test_offsets_are_exact_for_every_string(linker: EntityLinker, texts: list[str]) -> None:
    documents = [(str(n), text) for n, text in enumerate(texts)]
    linked = list(linker.annotate(documents))
    assert [(d.id, d.text) for d in linked] == documents
    for document in linked:
        ends = 0
        for mention in document.mentions:
            assert document.text[mention.start : mention.end] == mention.surface != ""
            assert mention.start >= ends
            ends = mention.end


def test_batches_change_nothing(linker: EntityLinker) -> None:
    texts = [" ".join(SENTENCES[n:] + SENTENCES[:n]) for n in range(len(SENTENCES))]
    together = list(linker.annotate(((str(n), text) for n, text in enumerate(texts)), batch_size=7))
    assert sum(len(d.mentions) for d in together) > 5, "nothing was marked, so nothing was tested"
    for n, document in enumerate(together):
        (alone,) = linker.annotate([(str(n), texts[n])], batch_size=1)
        spans = [(m.start, m.end, m.entity) for m in alone.mentions]
        assert spans == [(m.start, m.end, m.entity) for m in document.mentions]
        np.testing.assert_allclose(
            [m.score for m in alone.mentions], [m.score for m in document.mentions], atol=1e-4
        )


@pytest.mark.parametrize("text", ["", " ", "\n\n\t", "x", "\u200b", "\u0301", "\ud800", "."])
def test_texts_with_next_to_nothing(linker: EntityLinker, text: str) -> None:
    (document,) = linker.annotate([("id", text)])
    assert document.text == text
    assert all(text[m.start : m.end] == m.surface for m in document.mentions)


def test_fifty_thousand_words_are_linked_wholly(linker: EntityLinker) -> None:
    text = " ".join(SENTENCES)
    text = " ".join([text] * (50_000 // len(text.split()) + 1))
    backbone = linker.backbone
    before, calibration = backbone.manifest, linker.calibration
    backbone.manifest = replace(before, windows=WindowSettings(own=80, before=8, after=8, head=0))
    linker.calibration = Calibration(mark_bias=2 * BIAS)  # fewer marks: each costs a step of a whole batch
    try:
        (document,) = linker.annotate([("long", text)], batch_size=256)
    finally:
        backbone.manifest, linker.calibration = before, calibration
    assert len(text.split()) >= 50_000
    assert document.text == text
    assert document.mentions[-1].end > 0.99 * len(text)
    assert all(text[m.start : m.end] == m.surface for m in document.mentions)


def test_docs_have_entities_with_ids(linker: EntityLinker) -> None:
    doc = linker(" ".join(SENTENCES))
    assert doc.ents
    assert {ent.kb_id_ for ent in doc.ents} <= {entity.id for entity in ENTITIES}
    assert [doc.text for doc in linker.pipe(["Oslo", "", "Leeds"])] == ["Oslo", "", "Leeds"]


def test_scores_below_the_threshold_are_nil(linker: EntityLinker) -> None:
    strict = EntityLinker(linker.backbone, linker.kb, top_k=2, min_score=9.0)
    strict.calibration = linker.calibration
    (document,) = strict.annotate([("id", " ".join(SENTENCES))])
    assert document.mentions
    for mention in document.mentions:
        assert (mention.entity, mention.title, mention.url) == (None, None, None)
        assert len(mention.candidates) == 2


def test_prior_changes_the_ranking_as_documented(linker: EntityLinker) -> None:
    plain = next(iter(linker.annotate([("id", SENTENCES[0])]))).mentions
    linker.calibration = replace(linker.calibration, prior_weight=0.5)
    try:
        mixed = next(iter(linker.annotate([("id", SENTENCES[0])]))).mentions
    finally:
        linker.calibration = replace(linker.calibration, prior_weight=0.0)
    assert plain and len(plain) == len(mixed)
    prior = {entity.id: entity.prior for entity in ENTITIES}
    for before, after in zip(plain, mixed, strict=True):
        cosine = {c.entity: c.score for c in before.candidates}
        for candidate in after.candidates:
            assert candidate.score == pytest.approx(
                cosine[candidate.entity] + 0.5 * prior[candidate.entity], abs=1e-4
            )
        assert [c.score for c in after.candidates] == sorted(
            (c.score for c in after.candidates), reverse=True
        )


def test_given_spans_are_linked_as_given(linker: EntityLinker) -> None:
    text = " ".join(SENTENCES)
    nested = [(4, 11), (4, 21), (15, 21)]  # harbour; harbour of Lisbon; Lisbon: overlaps are allowed
    far = (text.index("Nairobi"), text.index("Nairobi") + 7)
    inside_a_word = (text.index("aircraft") + 1, text.index("aircraft") + 3)
    document = linker.link(text, [far, *nested, inside_a_word], id="given")
    assert [(m.start, m.end) for m in document.mentions] == sorted([*nested, far, inside_a_word])
    assert all(m.entity and m.surface == text[m.start : m.end] for m in document.mentions)
    assert linker.link(text, []).mentions == ()


def test_given_spans_agree_with_marked_ones(linker: EntityLinker) -> None:
    text = "Maria Costa of Oslo"  # fits one window of either model
    (document,) = linker.annotate([("id", text)])
    spans = [(m.start, m.end) for m in document.mentions]
    assert spans
    again = linker.link(text, spans)
    for marked, given_span in zip(document.mentions, again.mentions, strict=True):
        assert marked.entity == given_span.entity
        assert marked.score == pytest.approx(given_span.score, abs=1e-4)


@pytest.mark.parametrize("span", [(3, 3), (-1, 2), (0, 999), (11, 12)])
def test_impossible_spans_say_so(linker: EntityLinker, span: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"span {span[0]}-{span[1]}"):
        linker.link("The harbour   was", [span])


def test_a_span_longer_than_a_window_says_so(linker: EntityLinker) -> None:
    text = " ".join(SENTENCES)
    with pytest.raises(InputError, match="windows hold 24"):
        linker.link(text, [(0, len(text))])


def test_a_kb_of_another_model_is_refused(linker: EntityLinker, tmp_path: Path) -> None:
    backbone = linker.backbone
    build_kb(ENTITIES, backbone.embed_entities, tmp_path / "kb", fingerprint="f" * 64, model_name="other")
    with pytest.raises(KBError, match="built with model other"):
        EntityLinker(backbone, KnowledgeBase.open(tmp_path / "kb"))


def test_impossible_options_are_refused(linker: EntityLinker) -> None:
    with pytest.raises(InputError, match="top_k"):
        EntityLinker(linker.backbone, linker.kb, top_k=0)


@pytest.mark.parametrize("kind", ["bert", "llama", "qwen2", "mistral"])
def test_a_model_is_saved_and_loaded_whole(kind: str, tmp_path: Path) -> None:
    import torch

    backbone = tiny_backbone(kind)
    before = backbone.manifest
    try:
        manifest = backbone.save(tmp_path / "m", dtype=torch.float32)
    finally:
        backbone.manifest = before
    loaded = load_backbone(tmp_path / "m", device="cpu")
    assert loaded.manifest == manifest
    assert len(manifest.fingerprint) == 64
    texts = ["Lisbon: city", "Oslo"]
    np.testing.assert_allclose(loaded.embed_entities(texts), backbone.embed_entities(texts), atol=1e-6)
    assert loaded.tokenize(SENTENCES[0]).ids == backbone.tokenize(SENTENCES[0]).ids
    assert loaded.marks == backbone.marks


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    backbone = tiny_backbone("bert")
    before = backbone.manifest
    try:
        backbone.save(tmp_path)  # in half precision, as models are shipped
    finally:
        backbone.manifest = before
    stored = load_file(tmp_path / "model.safetensors")
    parameters = sum(tensor.numel() for tensor in backbone.lm.parameters())  # tied ones count once
    assert sum(tensor.numel() for tensor in stored.values()) == parameters


def test_damaged_models_say_what_is_wrong(tmp_path: Path) -> None:
    manifest = tmp_path / "onegen_el.json"
    manifest.write_text("{")
    with pytest.raises(ModelError, match=r"onegen_el\.json: cannot be read"):
        load_backbone(tmp_path)
    manifest.write_text('{"format": 99}')
    with pytest.raises(ModelError, match="format 99 is newer"):
        load_backbone(tmp_path)
    manifest.write_text('{"format": 1}')
    with pytest.raises(ModelError, match="not a onegen-el model manifest"):
        load_backbone(tmp_path)
    with pytest.raises(ModelError, match="device 'abacus'"):
        tiny = tiny_backbone("bert")
        before = tiny.manifest
        try:
            tiny.save(tmp_path / "m")
        finally:
            tiny.manifest = before
        load_backbone(tmp_path / "m", device="abacus")
