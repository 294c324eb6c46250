"""The losses of OneGen on plain tensors: generation (legal or full) and retrieval (InfoNCE or BPR).

Knows nothing of models, batches or corpora. Formulas: arXiv 2409.05152, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def legal_loss(logits: Tensor, wrote_tag: Tensor) -> Tensor:
    """Cross-entropy over the two legal continuations.

    `logits` `[decisions, 2]` of copy and tag, `wrote_tag` `[decisions]` 0/1 -> mean loss (scalar).
    """
    return nn.functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], wrote_tag)


def full_loss(logits: Tensor, next_ids: Tensor) -> Tensor:
    """Ordinary next-token cross-entropy: `logits` `[tokens, vocabulary]`, `next_ids` `[tokens]`."""
    return nn.functional.cross_entropy(logits, next_ids)


def info_nce(positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """-log softmax of the positive: `positive` `[queries]` cosines, `negatives` `[queries, n]` cosines
    with -inf where a candidate is no negative of that query -> mean loss (scalar)."""
    logits = torch.cat([positive[:, None], negatives], dim=1) / temperature
    return -nn.functional.log_softmax(logits, dim=1)[:, 0].mean()


def bpr(positive: Tensor, negatives: Tensor) -> Tensor:
    """Bayesian personalised ranking, -log sigmoid(s+ - s-), the mean over each query's negatives, then
    over queries; arguments as for `info_nce`, queries without a negative count 0."""
    valid = negatives > float("-inf")
    gaps = positive[:, None] - negatives.masked_fill(~valid, 0.0)
    losses = -nn.functional.logsigmoid(gaps) * valid
    return (losses.sum(1) / valid.sum(1).clamp(min=1)).mean()
