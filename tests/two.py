"""Two processes that train together, forked from a server that has imported the libraries, once for both.

Knows what `torchrun` tells its processes; its own start, and theirs, would take most of the time.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable

import torch
from torch import distributed

PATIENCE = 240  # seconds


def together(work: Callable[..., object], *arguments: object) -> list[int | None]:
    """Exit codes of two processes that do `work`."""
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["onegen_el.training.run"])
    processes = [context.Process(target=_one, args=(rank, store.port, work, arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        process.kill()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _one(rank: int, port: int, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
    os.environ.update({name: str(value) for name, value in told.items()})
    torch.set_num_threads(1)
    work(*arguments)
