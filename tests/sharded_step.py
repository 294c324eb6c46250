"""Run by `test_step.py` in two processes: weights sharded among them get the gradients of whole ones."""

from __future__ import annotations

from copy import deepcopy

import torch
from test_step import a_step, the_batch
from tiny import tiny_backbone
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from onegen_el.training.dev import DevSet
from onegen_el.training.examples import collate


def check(generation: str) -> None:
    backbone = deepcopy(tiny_backbone("llama"))  # what is sharded cannot be used again
    batch = the_batch(backbone)
    step = a_step(backbone, generation=generation, hard=2, mined=2, warmup=0, refresh=1)
    step(batch, 0)[0].backward()
    whole = {name: p.grad.clone() for name, p in step.named_parameters() if p.grad is not None}
    step.zero_grad()
    dev = DevSet([], collate, 0, 8, 8)  # type: ignore[arg-type]
    dev.batches, dev.entities = [batch], list(range(8))
    measured = dev.measure(step)
    step.pool.vectors = None  # embedded again, each process its share

    mesh = init_device_mesh("cpu", (2,))
    for layer in backbone.lm.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(step, mesh=mesh)
    step(batch, 0)[0].backward()
    sharded = {name: p.grad for name, p in step.named_parameters() if p.grad is not None}
    assert sharded.keys() == whole.keys()
    for name, gradient in sharded.items():
        assert isinstance(gradient, DTensor), name
        assert torch.allclose(gradient.full_tensor(), whole[name], atol=1e-4), name
    assert dev.measure(step) == measured
    assert {"dev_mark_f1", "dev_recall_1"} <= measured.keys()


def main() -> None:
    distributed.init_process_group("gloo")
    for generation in ("full", "legal"):
        check(generation)
    distributed.barrier()
    distributed.destroy_process_group()
