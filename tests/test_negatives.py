"""Entities by every name, and the pool that hard negatives are mined from."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from onegen_el.errors import InputError
from onegen_el.knowledge import KnowledgeBase
from onegen_el.training import speed
from onegen_el.training.catalog import read_catalog
from onegen_el.training.negatives import Pool, choose


def test_catalogue_finds_entities_by_every_name(world: Path) -> None:
    catalog = read_catalog(world / "entities.jsonl", world / "links.tsv", "{title} - {description}")
    assert len(catalog) == 30
    assert catalog.texts[0] == "Mercury (planet) - planet next to the sun"
    assert catalog.titles[0] == "Mercury (planet)"
    assert catalog.find("Q3") == catalog.find("enwiki:Freddie Mercury") == 2
    assert catalog.find("Q31") == catalog.find(None) == -1
    assert read_catalog(world / "entities.jsonl").find("enwiki:Freddie Mercury") == 2


def test_catalogue_names_the_table_that_cannot_be_read(world: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("title\tid\nx\tQ1\n")
    for name in ("bad.tsv", "missing.tsv"):
        with pytest.raises(InputError, match=name):
            read_catalog(world / "entities.jsonl", tmp_path / name)
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        read_catalog(tmp_path / "missing.jsonl")


def test_the_catalogue_of_a_knowledge_base_has_its_keys() -> None:
    kb = KnowledgeBase.open()
    catalog = speed._catalog(kb.manifest.template)  # the one that updates are measured with
    assert len(catalog) == len(kb)
    for key in (0, 777, len(kb) - 1):
        (entity,) = kb.entities([key])
        assert catalog.find(entity.id) == key
        assert catalog.texts[key].startswith(catalog.titles[key])
        if entity.wikipedia_title:
            assert catalog.find(f"enwiki:{entity.wikipedia_title}") == key


def a_pool(*texts: str) -> Pool:
    """Entities given as `title` or `title: description`."""
    return Pool(texts, [text.partition(":")[0] for text in texts], len(texts))


def test_the_pool_gives_the_most_similar_that_are_neither_target_nor_twin() -> None:
    pool = a_pool("a", "b", "twin: x", "c", "twin: x", "d")
    pool.size = 5
    pool.vectors = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # The third target is in the catalogue but not in the pool.
    mined, valid = pool.mine(queries, torch.tensor([0, 2, 5]), 3)
    kept = [
        {i for i, ok in zip(row, keep, strict=True) if ok}
        for row, keep in zip(mined.tolist(), valid.tolist(), strict=True)
    ]
    assert kept[0] <= {1, 2, 4}
    assert 1 in kept[0]
    assert 0 not in kept[0]
    assert kept[1] == {3}
    assert {2, 4} <= kept[2]
    assert pool.mine(queries, torch.tensor([0, 2, 5]), 99)[0].shape == (3, 5)


def test_a_namesake_is_a_negative_only_if_both_are_described() -> None:
    pool = a_pool("Paris: capital", "paris", "Paris: prince", "Troy")
    everyone = torch.arange(4).expand(4, -1)
    assert pool.differs(everyone, torch.arange(4)).tolist() == [
        [False, False, True, True],
        [False, False, False, True],
        [True, False, False, True],
        [True, True, True, False],
    ]


def test_the_pool_of_a_checkpoint_is_what_it_was(tmp_path: Path) -> None:
    pool = a_pool("a", "b", "c")
    pool.refresh(4, lambda share: np.eye(3, 2, dtype=np.float32)[share])
    pool.save(tmp_path)
    other = a_pool("a", "b", "c")
    other.load(tmp_path)
    assert other.vectors is not None
    assert (other.turn, other.vectors.tolist()) == (4, [[1, 0], [0, 1], [0, 0]])


def test_hard_negatives_are_the_named_ones_first_then_mined_ones() -> None:
    rng = random.Random(2)
    named = [[7, 8, -1], [5, -1, -1], [-1, -1, -1]]
    mined = [[1, 2, -1], [5, 3, -1], [-1, -1, -1]]
    for _ in range(50):
        one, two, three = choose(named, mined, 2, 9, rng)
        assert sorted(one) == [7, 8]
        assert two == [5, 3]  # what was named is not mined again
        assert three == []  # everything that was found is the target's twin
    first = [choose([[]], [[1, 2, 3, 4]], 1, 9, rng)[0][0] for _ in range(400)]
    assert first.count(1) > first.count(2) > first.count(3) > 0


def test_before_anything_was_mined_any_entity_of_the_pool_will_do() -> None:
    rng = random.Random(2)
    drawn = {index for _ in range(60) for index in choose([[]], [[]], 2, 5, rng)[0]}
    assert drawn == {0, 1, 2, 3, 4}
    assert [len(row) for row in choose([[], [4, -1]], [[], []], 3, 2, rng)] == [2, 3]
    assert choose([[4, 5]], [[]], 0, 9, rng) == [[]]
