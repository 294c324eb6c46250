"""The reference's knowledge base as one of ours: its texts and its vectors, and what does not fit."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onegen_el.errors import InputError, KBError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.knowledge.reference import Embeddings, import_reference, open_embeddings
from onegen_el.knowledge.verify import verify_kb

COUNT, WIDTH = 400, 320
MODEL = {
    "fingerprint": "f" * 64,
    "model_name": "big",
    "model_dims": WIDTH,
    "template": "{title}: {description}",
}


def row(uid: Any, title: str) -> dict[str, Any]:
    prompt = "Represent the entity based on its description and output it after the '[SE]' token.\n"
    text = f"The description of {title} is as follows:\n"
    return {
        "uid": uid,
        "messages": [
            {"role": "user", "content": prompt + text},
            {"role": "assistant", "content": f"about {title}[SE]"},
        ],
    }


def write(path: Path, uids: Sequence[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row(uid, f"Title {uid}")) for uid in uids))
    return path


def vectors(count: int = COUNT, width: int = WIDTH) -> np.ndarray:
    """As of a language model: most of the length in a few directions, and far from the origin."""
    dice = np.random.default_rng(0)
    spread = dice.standard_normal((count, 24)) @ dice.standard_normal((24, width)) + 5
    return (spread + 0.05 * dice.standard_normal((count, width))).astype(np.float32)


UIDS = [f"Q{number}" for number in range(1, COUNT + 1)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path / "db.jsonl", UIDS)


def made(
    tmp_path: Path, texts: Path, embeddings: Embeddings, **options: Any
) -> tuple[KnowledgeBase, dict[str, int]]:
    _, left_out = import_reference(texts, tmp_path / "kb", embeddings, **{**MODEL, **options})
    return KnowledgeBase.open(tmp_path / "kb"), left_out.counts


@pytest.mark.parametrize(("dims", "stored"), [(None, 256), (64, 64), (0, WIDTH)])
def test_each_entity_gets_its_own_vector(tmp_path: Path, texts: Path, dims: int | None, stored: int) -> None:
    dice = np.random.default_rng(1).permutation(COUNT)
    embeddings = Embeddings([UIDS[at] for at in dice], vectors()[dice])
    kb, left_out = made(tmp_path, texts, embeddings, dims=dims)
    assert left_out == {}
    assert (len(kb), kb.manifest.dims, kb.fingerprint) == (COUNT, stored, "f" * 64)
    assert bool(kb.manifest.projection) == bool(stored != WIDTH)
    hits = kb.search(vectors(), 1)
    assert hits.keys[:, 0].tolist() == list(range(COUNT))
    assert hits.scores.min() > 0.99
    assert kb.entities([3])[0].title == "Title Q4" and kb.entities([3])[0].description == "about Title Q4"
    assert verify_kb(tmp_path / "kb", vectors(), 50).findings == []


def test_the_file_is_read_from_its_pickle(tmp_path: Path, texts: Path) -> None:
    path = tmp_path / "e.pkl"
    path.write_bytes(pickle.dumps((torch.tensor(vectors()).half(), UIDS)))
    kb, _ = made(tmp_path, texts, open_embeddings(path))
    assert kb.search(vectors(), 1).keys[:, 0].tolist() == list(range(COUNT))


def test_short_vectors_stay_as_they_are(tmp_path: Path, texts: Path) -> None:
    kb, _ = made(tmp_path, texts, Embeddings(UIDS, vectors(width=100)), model_dims=100)
    assert (kb.manifest.dims, kb.manifest.projection) == (100, "")


def test_what_does_not_fit_is_left_out_and_counted(tmp_path: Path) -> None:
    uids = [*UIDS[:10], "Q3-1", "Q4-0", "Q900", 7]
    texts = write(tmp_path / "db.jsonl", [*uids, "Q901"])
    values = vectors(len(uids) + 3)
    values[1] = np.nan
    values[2, 5] = np.inf
    values[5] = 0
    embeddings = Embeddings([*map(str, uids), "Q5000", "Q2-7", "Q6-1"], values)
    kb, left_out = made(tmp_path, texts, embeddings)
    assert left_out == {
        "vectors that are not finite or zero": 3,
        "further vectors of an entity": 1,
        "further rows of an entity": 2,
        "entities without a vector": 1,
        "vectors without an entity": 1,
    }
    ids = [entity.id for entity in kb]
    assert ids == [*UIDS[:10], "Q900", "7"]
    # Where the first vector of an entity was none, the next one stands for it.
    found = kb.search(values[[0, 3, 10, len(uids) + 1, len(uids) + 2, 12]], 1).keys[:, 0].tolist()
    assert [ids[key] for key in found] == ["Q1", "Q4", "Q3", "Q2", "Q6", "Q900"]


def test_files_of_two_knowledge_bases_are_refused(tmp_path: Path, texts: Path) -> None:
    others = Embeddings([f"Q{number}" for number in range(COUNT, 2 * COUNT)], vectors())
    with pytest.raises(KBError, match="only 1 of 400 entities have a vector"):
        made(tmp_path, texts, others)
    assert not (tmp_path / "kb").exists()


def test_what_cannot_be_is_refused_at_once(tmp_path: Path, texts: Path) -> None:
    with pytest.raises(
        KBError, match="have 100 dimensions, the vectors of model big have 320; give the --model"
    ):
        made(tmp_path, texts, Embeddings(UIDS, vectors(width=100)))
    with pytest.raises(KBError, match="holds no finite vector"):
        made(tmp_path, texts, Embeddings([], np.empty((0, WIDTH), np.float32)))
    with pytest.raises(KBError, match="holds no finite vector"):
        made(tmp_path, texts, Embeddings(UIDS, np.zeros((COUNT, WIDTH), np.float32)))
    with pytest.raises(KBError, match="cannot be shortened to 500"):
        made(tmp_path, texts, Embeddings(UIDS, vectors()), dims=500)
    with pytest.raises(InputError, match="no such file"):
        made(tmp_path, tmp_path / "none.jsonl", Embeddings(UIDS, vectors()))


def test_the_same_files_give_the_same_bytes(tmp_path: Path, texts: Path) -> None:
    for name in ("a", "b"):
        import_reference(texts, tmp_path / name, Embeddings(UIDS, vectors()), **MODEL)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


class Dying(Embeddings):
    """Gives up after some calls, as a process that is killed does."""

    calls = 0

    def rows(self, rows: slice | np.ndarray) -> np.ndarray:
        Dying.calls -= 1
        if Dying.calls < 0:
            raise KeyboardInterrupt
        return super().rows(rows)


def test_an_import_that_was_stopped_goes_on(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onegen_el.knowledge.embedding.CHUNK", 64)
    import_reference(texts, tmp_path / "whole", Embeddings(UIDS, vectors()), **MODEL)
    stops = 0
    for calls in range(1, 30, 3):
        Dying.calls = calls
        try:
            import_reference(texts, tmp_path / "kb", Dying(UIDS, vectors()), **MODEL)
        except KeyboardInterrupt:
            stops += 1
        else:
            break
    assert stops >= 2
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "kb" / path.name).read_bytes(), path.name


def test_vectors_of_another_file_are_not_mixed_in(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts are the same, so only the vectors tell that it is another import."""
    monkeypatch.setattr("onegen_el.knowledge.embedding.CHUNK", 64)
    Dying.calls = 8
    with pytest.raises(KeyboardInterrupt):
        import_reference(texts, tmp_path / "kb", Dying(UIDS, vectors()), **MODEL)
    others = vectors()[::-1].copy()
    kb, _ = made(tmp_path, texts, Embeddings(UIDS, others))
    assert kb.search(others, 1).keys[:, 0].tolist() == list(range(COUNT))


def test_a_kept_embedding_may_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "e.pkl"
    path.write_bytes(pickle.dumps((torch.tensor(vectors()), UIDS)))
    opened = open_embeddings(path)
    with pytest.raises(ValueError, match="read-only"):
        opened.stored[0] = 0
    part = opened.rows(slice(0, 2))
    part[0] = 0
    assert replace(opened).rows(slice(0, 1)).any()
