"""The losses against the formulas of the paper, written out once more in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onegen_el.training.objective import bpr, full_loss, info_nce, legal_loss

DICE = np.random.default_rng(11)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits)
    shares: np.ndarray = raised / raised.sum(-1, keepdims=True)
    return shares


def test_legal_loss_is_the_cross_entropy_of_copy_and_tag() -> None:
    logits = DICE.normal(size=(7, 2)) * 3
    wrote = np.array([0, 1, 1, 0, 0, 1, 0])
    truth = -np.log(softmax(logits)[np.arange(7), wrote]).mean()
    loss = legal_loss(tensor(logits), torch.tensor(wrote, dtype=torch.float64))
    assert loss.item() == pytest.approx(truth)


def test_legal_loss_of_hopeless_logits_is_finite() -> None:
    assert legal_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([1.0])).item() == pytest.approx(2e4)


def test_full_loss_is_the_cross_entropy_of_the_vocabulary() -> None:
    logits, ids = DICE.normal(size=(5, 13)), DICE.integers(13, size=5)
    truth = -np.log(softmax(logits)[np.arange(5), ids]).mean()
    assert full_loss(tensor(logits), torch.tensor(ids)).item() == pytest.approx(truth)


# Cosines of three queries; a query's own entity or its twin is no negative. The last has none at all.
POSITIVE = np.array([0.9, 0.1, 0.4])
NEGATIVES = np.array([[0.5, -np.inf, 0.2, 0.7], [0.3, 0.2, -np.inf, -np.inf], [-np.inf] * 4])
LEFT = [[0.5, 0.2, 0.7], [0.3, 0.2], []]


def test_info_nce_leaves_masked_negatives_out() -> None:
    temperature = 0.07
    truth = np.mean(
        [
            -np.log(softmax(np.array([own, *others]) / temperature)[0])
            for own, others in zip(POSITIVE, LEFT, strict=True)
        ]
    )
    positive, negatives = tensor(POSITIVE), tensor(NEGATIVES)
    loss = info_nce(positive, negatives, temperature)
    assert loss.item() == pytest.approx(truth)
    loss.backward()
    assert positive.grad is not None
    assert negatives.grad is not None
    assert torch.isfinite(negatives.grad).all()
    assert (negatives.grad[torch.tensor(np.isinf(NEGATIVES))] == 0).all()
    assert positive.grad.tolist()[2] == 0


def test_bpr_averages_over_negatives_then_over_queries() -> None:
    def one(own: float, others: list[float]) -> float:
        return float(np.mean([-np.log(1 / (1 + np.exp(other - own))) for other in others])) if others else 0

    truth = np.mean([one(own, others) for own, others in zip(POSITIVE, LEFT, strict=True)])
    positive, negatives = tensor(POSITIVE), tensor(NEGATIVES)
    loss = bpr(positive, negatives)
    assert loss.item() == pytest.approx(truth)
    loss.backward()
    assert positive.grad is not None
    assert negatives.grad is not None
    assert torch.isfinite(negatives.grad).all()
    assert positive.grad.tolist()[2] == 0


def test_a_worse_rank_costs_more() -> None:
    near, far = torch.tensor([[0.2]]), torch.tensor([[0.6]])
    own = torch.tensor([0.5])
    assert info_nce(own, near, 0.05) < info_nce(own, far, 0.05)
    assert bpr(own, near) < bpr(own, far)
