"""The products of exact search on a GPU, where all vectors lie in its memory.

Knows torch devices; what is best is still decided on the CPU in float64, so the answers are those of the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from onegen_el.knowledge.exact import LOWEST
from onegen_el.knowledge.ranking import BLOCK_VALUES, SLACK

DEVICE_BLOCK_VALUES = 1 << 26  # values of one block as float32: 256 MB
SPARE = 1 << 30  # bytes of the device's memory that are left for a block, its scores and the model


def fits(vectors: np.ndarray, device: str) -> bool:
    """Whether `vectors` `[count, dims]` go into what is free of the device's memory, with room to work."""
    target = torch.device(device)
    if target.type == "cuda":
        free = torch.cuda.mem_get_info(target)[0]
    elif target.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        return True
    return bool(vectors.nbytes + 4 * len(vectors) + SPARE <= free)


class DeviceScan:
    """Vectors int8 or float16 `[count, dims]` copied to `device`; one float32 product a block."""

    def __init__(self, vectors: np.ndarray, device: str) -> None:
        count, dims = vectors.shape
        self.block = max(1, DEVICE_BLOCK_VALUES // dims)
        self.device = torch.device(device)
        kind = torch.int8 if vectors.dtype == np.int8 else torch.float16
        self._vectors = torch.empty((count, dims), dtype=kind, device=self.device)
        self._inverse = torch.empty(count, device=self.device)
        step = max(1, BLOCK_VALUES // dims)
        for start in range(0, count, step):
            # A copy, because torch will not share memory that is mapped read-only.
            part = torch.from_numpy(vectors[start : start + step].copy()).to(self.device)
            self._vectors[start : start + step] = part
            self._inverse[start : start + step] = 1 / torch.linalg.vector_norm(part.float(), dim=1)

    @torch.inference_mode()
    def near(
        self, queries: np.ndarray, start: int, gone: np.ndarray, k: int, bar: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        part = self._vectors[start : start + self.block].float()
        with _full_precision():
            scores = torch.from_numpy(queries).to(self.device) @ part.T
        scores *= self._inverse[start : start + self.block]
        scores[:, torch.from_numpy(gone).to(self.device)] = -torch.inf
        if bar is not None:
            # Rounded down, so that what is on the bar in float64 does not fall below it in float32.
            floor = torch.from_numpy(np.nextafter(bar.astype(np.float32), np.float32(LOWEST)))
        elif scores.shape[1] > k:
            floor = torch.topk(scores, k, dim=1).values[:, -1:] - SLACK
        else:
            floor = torch.full((len(queries), 1), LOWEST)
        found: Tensor = torch.nonzero(scores >= floor.to(self.device).clamp(min=LOWEST)).cpu()
        return found[:, 0].numpy(), found[:, 1].numpy()


@contextmanager
def _full_precision() -> Iterator[None]:
    """float32 products as such: TF32 would round more than SLACK allows."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
