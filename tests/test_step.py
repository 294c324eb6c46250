"""The loss of a step: against truths computed in another way, and where its gradient may go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_backbone
from two import together

from onegen_el.backbone import Backbone
from onegen_el.gold import GoldDocument, GoldMention
from onegen_el.training.catalog import Catalog
from onegen_el.training.examples import Reach, collate, document_examples
from onegen_el.training.negatives import Pool
from onegen_el.training.recipe import Corpus, Objective
from onegen_el.training.step import Step

TITLES = ["Lisbon", "Oslo", "Leeds", "Nairobi", "Porto", "Bergen", "York", "Mombasa"]
CATALOG = Catalog(
    [f"{title}: a town that has a harbour, number {n}" for n, title in enumerate(TITLES)],
    TITLES,
    {f"Q{n}": n for n in range(len(TITLES))},
)
TEXTS = {
    "The harbour of Lisbon was quiet in Oslo.": {"Lisbon": "Q0", "Oslo": "Q1"},
    "Leeds beat a committee in Nairobi 2-1.": {"Leeds": "Q2", "Nairobi": "Q3"},
}


def the_batch(backbone: Backbone, **corpus: Any) -> dict[str, torch.Tensor]:
    examples = []
    for text, names in TEXTS.items():
        mentions = tuple(GoldMention(text.index(n), text.index(n) + len(n), qid) for n, qid in names.items())
        document = GoldDocument("", text, mentions, (0, len(text)))
        settings = backbone.manifest.windows
        examples += document_examples(
            document, Corpus("x", **corpus), backbone.tokenize, settings, CATALOG, Reach(), backbone.aligned
        )
    prefix = backbone.grammar.attention == "prefix"
    return collate(examples, backbone.marks, backbone.aligned, prefix).as_dict()


def a_step(backbone: Backbone, **objective: Any) -> Step:
    chosen = Objective(**{"mined": 0, "hard": 0, "description_dropout": 0.0, **objective})
    return Step(backbone, chosen, CATALOG, Pool(CATALOG.texts, CATALOG.titles, len(CATALOG)), seed=3)


def hidden_states(backbone: Backbone, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return backbone.hidden(*(batch[name] for name in ("ids", "positions", "types", "mask"))).flatten(0, 1)


def unit(rows: np.ndarray) -> np.ndarray:
    normed: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return normed


def log_softmax(row: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = row - row.max() - np.log(np.exp(row - row.max()).sum())
    return shifted


@pytest.mark.parametrize("name", ["llama", "qwen2", "mistral", "bert"])
@pytest.mark.parametrize("retrieval", ["infonce", "bpr"])
@torch.no_grad()
def test_the_loss_is_that_of_the_paper_written_out_in_numpy(name: str, retrieval: str) -> None:
    """Every window alone, every token alone, every entity alone: no padding, no batch, no index tricks."""
    backbone = tiny_backbone(name)
    batch = the_batch(backbone)
    weights = {"generation_weight": 0.7, "retrieval_weight": 1.3, "temperature": 0.04}
    step = a_step(backbone, generation="full", retrieval=retrieval, **weights)
    loss, parts = step(batch, 0)

    generation: list[float] = []
    queries: list[np.ndarray] = []
    rows, length = batch["ids"].shape
    for row in range(rows):
        seen = int(batch["mask"][row, -1].sum())
        one = [batch[name][row : row + 1, :seen] for name in ("ids", "positions", "types")]
        states = backbone.hidden(*one, batch["mask"][row : row + 1, :seen, :seen])[0]
        logits = backbone.vocabulary_logits(states).numpy()
        for at, token in zip(batch["next_at"].tolist(), batch["next_ids"].tolist(), strict=True):
            if at // length == row:
                generation.append(-log_softmax(logits[at % length])[token])
        queries += [states[at % length].numpy() for at in batch["query_at"].tolist() if at // length == row]
    matrix = np.eye(len(queries[0])) if backbone.projection is None else backbone.projection.weight.numpy()
    query = unit(np.stack(queries) @ matrix.T)  # over the features, not over the queries
    entities = np.concatenate([backbone.embed_entities([CATALOG.texts[n]]) for n in range(4)])
    scores = query @ entities.T
    retrieved = []
    for n in range(4):
        others = [m for m in range(4) if m != n]
        if retrieval == "infonce":
            retrieved.append(-log_softmax(scores[n, [n, *others]] / 0.04)[0])
        else:
            retrieved.append(np.mean([np.log1p(np.exp(-(scores[n, n] - scores[n, m]))) for m in others]))
    assert parts["generation"].item() == pytest.approx(np.mean(generation), rel=1e-4)
    assert parts["retrieval"].item() == pytest.approx(np.mean(retrieved), rel=1e-3)
    assert loss.item() == pytest.approx(0.7 * np.mean(generation) + 1.3 * np.mean(retrieved), rel=1e-3)
    right = [scores[n, n] > max(scores[n, m] for m in range(4) if m != n) for n in range(4)]
    assert parts["recall_in_batch"].item() == pytest.approx(np.mean(right))


# --- roles: OneGen and what it degenerates to (section 3 of the paper) ---


def state_gradients(step: Step, batch: dict[str, torch.Tensor], patch: pytest.MonkeyPatch) -> torch.Tensor:
    """Gradient of the loss at the last hidden states of the windows, `[rows * tokens, width]`."""
    kept: list[torch.Tensor] = []
    whole: Callable[..., torch.Tensor] = step.backbone.hidden

    def hidden(*arguments: Any) -> torch.Tensor:
        states = whole(*arguments)
        if not kept:  # the windows come first, then the entities
            states = states.detach().requires_grad_()
            kept.append(states)
        return states

    with patch.context() as inside:
        inside.setattr(step.backbone, "hidden", hidden)
        loss, _ = step(batch, 0)
        loss.backward()
    assert kept[0].grad is not None
    return kept[0].grad.flatten(0, 1)


def touched(gradients: torch.Tensor) -> set[int]:
    return set(gradients.abs().sum(1).nonzero()[:, 0].tolist())


@pytest.mark.parametrize("generation", ["full", "legal"])
def test_gradients_reach_only_the_tokens_whose_role_allows_it(
    generation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tiny_backbone("llama")
    batch = the_batch(backbone)
    generating = set(batch["next_at" if generation == "full" else "decide_at"].tolist())
    retrieving = set(batch["query_at"].tolist())

    def reached(batch: dict[str, torch.Tensor], **weights: float) -> set[int]:
        step = a_step(backbone, generation=generation, **weights)
        return touched(state_gradients(step, batch, monkeypatch))

    # OneGen: both in one sequence; everything else in it is context.
    assert reached(batch) == generating | retrieving
    # Generative instruction tuning (GIT): nothing is retrieved, by the weight or by the data.
    assert reached(batch, retrieval_weight=0.0) == generating
    assert reached(the_batch(backbone, links=False)) == generating
    # Representational instruction tuning (RIT): nothing is generated, by the weight or by the data.
    assert reached(batch, generation_weight=0.0) == retrieving
    assert reached(the_batch(backbone, marks="none")) == retrieving
    # Neither: a gradient of nothing, not a crash.
    assert reached(batch, generation_weight=0.0, retrieval_weight=0.0) == set()


def test_both_in_separate_sequences_is_grit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same windows twice, to generate and to retrieve: the losses of GIT and of RIT in one step."""
    backbone = tiny_backbone("llama")
    examples = []
    for corpus in (Corpus("a", links=False), Corpus("b", marks="none")):
        for text, names in TEXTS.items():
            mentions = tuple(GoldMention(text.index(n), text.index(n) + len(n), q) for n, q in names.items())
            document = GoldDocument("", text, mentions, (0, len(text)))
            examples += document_examples(
                document, corpus, backbone.tokenize, backbone.manifest.windows, CATALOG, Reach(), False
            )
    batch = collate(examples, backbone.marks, False, False).as_dict()
    length = batch["ids"].shape[1]
    reached = touched(state_gradients(a_step(backbone, generation="full"), batch, monkeypatch))
    generating, retrieving = set(batch["next_at"].tolist()), set(batch["query_at"].tolist())
    assert reached == generating | retrieving
    # No sequence does both.
    assert not {at // length for at in generating} & {at // length for at in retrieving}
    _, apart = a_step(backbone, generation="full")(batch, 0)
    _, git = a_step(backbone, generation="full")(the_batch(backbone, links=False), 0)
    _, rit = a_step(backbone, generation="full")(the_batch(backbone, marks="none"), 0)
    assert apart["generation"].item() == pytest.approx(git["generation"].item(), rel=1e-4)
    assert apart["retrieval"].item() == pytest.approx(rit["retrieval"].item(), rel=1e-4)


def weight_gradients(step: Step, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    step.zero_grad()
    loss, _ = step(batch, 0)
    loss.backward()
    return {name: p.grad.clone() for name, p in step.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_gradient_caching_changes_no_gradient_and_remembers_less(chunk: int) -> None:
    backbone = tiny_backbone("llama")
    batch = the_batch(backbone)
    plain = weight_gradients(a_step(backbone, hard=2), batch)
    cached = weight_gradients(a_step(backbone, hard=2, chunk=chunk), batch)
    assert plain.keys() == cached.keys()
    for name, gradient in plain.items():
        assert torch.allclose(gradient, cached[name], atol=1e-5), name


def test_gradient_caching_holds_no_more_for_more_negatives() -> None:
    backbone = tiny_backbone("llama")

    def held(chunk: int, texts: Sequence[str]) -> int:
        """Bytes that are kept for the way back."""
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            a_step(backbone, chunk=chunk).entity_vectors(texts)
        return sum(kept.values())

    few, many = ([f"town {n}: with a harbour" for n in range(count)] for count in (8, 80))
    assert held(0, many) > 5 * held(0, few)
    assert held(4, many) < held(0, few)


def test_a_text_that_comes_twice_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    step = a_step(tiny_backbone("llama"))
    sizes: list[int] = []
    whole = step.backbone.entity_states
    monkeypatch.setattr(step.backbone, "entity_states", lambda rows: sizes.append(len(rows)) or whole(rows))
    texts = ["Oslo", "Lisbon: a town", "Oslo", "York", "Lisbon: a town"]
    with torch.no_grad():
        vectors = step.entity_vectors(texts).numpy()
    assert sum(sizes) == 3
    alone = np.concatenate([tiny_backbone("llama").embed_entities([text]) for text in texts])
    assert np.allclose(vectors, alone, atol=1e-5)


# --- negatives ---


def test_a_query_stands_against_fresh_and_stale_negatives_each_once() -> None:
    step = a_step(tiny_backbone("llama"), mined=3)
    texts = ["a", "b", "c", "b", "d"]  # 1 and 3 are twins
    step.pool = Pool(texts, texts, 5)
    dice = torch.Generator().manual_seed(4)
    queries, fresh, stale = (
        torch.nn.functional.normalize(torch.randn(count, 6, generator=dice), dim=1) for count in (2, 3, 5)
    )
    stale[:2] = queries.flip(0)  # what must not count twice would weigh most
    step.pool.vectors = stale
    targets, wanted = torch.tensor([0, 1]), torch.tensor([0, 1, 3])
    mined = torch.tensor([[1, 2, 4], [2, 3, 0]])
    mined = mined.masked_fill(~step.pool.differs(mined, targets), -1)
    rivals = step.pool.differs(wanted.expand(2, -1), targets)
    loss = step._contrast(queries, fresh, torch.tensor([0, 1]), rivals, wanted, mined)["retrieval"]
    # The first, of entity 0: fresh 1 and 3; stale 2 and 4, for 1 is fresh already.
    first = torch.stack([fresh[0], fresh[1], fresh[2], stale[2], stale[4]]) @ queries[0]
    # The second, of entity 1: fresh 0 but not the twin; stale 2, for 3 is the twin and 0 is fresh already.
    second = torch.stack([fresh[1], fresh[0], stale[2]]) @ queries[1]
    truth = [-(row / 0.05).softmax(0)[0].log() for row in (first, second)]
    assert loss.item() == pytest.approx(torch.stack(truth).mean().item(), rel=1e-5)


def given_batch(backbone: Backbone, given: list[list[int]]) -> dict[str, torch.Tensor]:
    return {**the_batch(backbone), "given": torch.tensor(given)}


@torch.no_grad()
def test_without_negatives_of_the_batch_a_query_stands_against_its_own_alone() -> None:
    """The paper's setting: BPR against the negatives that the data names."""
    backbone = tiny_backbone("llama")
    batch = given_batch(backbone, [[4, 5], [6, 7], [4, 7], [5, 6]])
    step = a_step(backbone, retrieval="bpr", in_batch=False, hard=2)
    _, parts = step(batch, 0)
    states = hidden_states(backbone, batch)
    query = backbone.vectors(states[batch["query_at"]]).numpy()
    entity = backbone.embed_entities(CATALOG.texts)
    truth = [
        np.mean([np.log1p(np.exp(query[n] @ (entity[m] - entity[n]))) for m in named])
        for n, named in enumerate(batch["given"].tolist())
    ]
    assert parts["retrieval"].item() == pytest.approx(np.mean(truth), rel=1e-4)


def test_frozen_entities_are_compared_and_not_trained() -> None:
    backbone = tiny_backbone("llama")
    batch = the_batch(backbone)
    step = a_step(backbone, entities="frozen", mined=3)
    vectors = torch.nn.functional.normalize(torch.randn(8, 32, generator=torch.manual_seed(1)), dim=1)
    step.pool.vectors = vectors.clone()
    embedded: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "entity_states", embedded.append)
        loss, parts = step(batch, 0)
    assert embedded == []
    assert torch.equal(step.pool.vectors, vectors)
    with torch.no_grad():
        states = backbone.hidden(batch["ids"], batch["positions"], batch["types"], batch["mask"]).flatten(
            0, 1
        )
        scores = (backbone.vectors(states[batch["query_at"]]) @ vectors.T).numpy() / 0.05
    truth = []
    for n in range(4):
        mined = [m for m in np.argsort(-scores[n])[:3] if m != n]
        others = {m for m in range(4) if m != n}.union(mined)
        truth.append(-log_softmax(scores[n, [n, *others]])[0])
    assert parts["retrieval"].item() == pytest.approx(np.mean(truth), rel=1e-4)
    loss.backward()


def test_the_pool_is_embedded_when_its_time_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llama")
    step = a_step(backbone, mined=2, hard=1, warmup=2, refresh=3)
    embedded: list[int] = []
    whole = backbone.embed_rows
    monkeypatch.setattr(backbone, "embed_rows", lambda rows: embedded.append(len(rows)) or whole(rows))
    turns = []
    for number in range(9):
        step(the_batch(backbone), number)
        turns.append(len(embedded))
    assert turns == [0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_more_queries_than_entities_in_the_pool() -> None:
    backbone = tiny_backbone("llama")
    for warmup in (0, 9):
        step = a_step(backbone, retrieval="bpr", mined=64, hard=3, warmup=warmup)
        step.pool.size = 2
        loss, _ = step(the_batch(backbone), 0)
        assert torch.isfinite(loss)


def test_a_batch_with_nothing_to_learn_has_a_gradient_of_nothing() -> None:
    backbone = tiny_backbone("llama")
    batch = the_batch(backbone)
    empty = {name: tensor[:0] for name, tensor in batch.items()}
    kept = {name: batch[name] for name in ("ids", "positions", "types", "mask")}
    gradients = weight_gradients(a_step(backbone), {**empty, **kept})
    assert all(not gradient.any() for gradient in gradients.values())


def test_weights_sharded_among_processes_have_the_same_gradients() -> None:
    import sharded_step

    assert together(sharded_step.main) == [0, 0]
