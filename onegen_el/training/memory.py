"""Memory of a device: what there is, and the peak of what was used.

Knows CUDA's counters and Linux's /proc; does not know what is being measured.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def device_memory(device: torch.device) -> int | None:
    """Bytes that the device has in all; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if device.type == "cpu" else None


def reset_peak(device: torch.device) -> int:
    """Begins to watch the peak anew; bytes of the process so far where it is the process that is watched."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.init()  # before it there is no counter
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    if device.type != "cpu" or not STATUS.is_file():
        return 0
    with suppress(OSError, AttributeError):  # not every C library keeps freed memory, or can give it back
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        CLEAR.write_text("5")  # proc(5): the peak becomes what is held now
    return _status("VmRSS")


def peak(device: torch.device, before: int) -> tuple[int | None, str]:
    """Bytes at the peak since `reset_peak`, which returned `before`, and what they are of; None where the
    system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "peak of what torch allocated on the GPU"
    if device.type == "cpu" and STATUS.is_file():
        return _status("VmHWM") - before, "growth of the process to its peak"
    return None, ""


def _status(field: str) -> int:
    """A size in bytes of this process, as Linux tells it."""
    rows = dict(row.split(":", 1) for row in STATUS.read_text("utf-8").splitlines() if ":" in row)
    return int(rows[field].split()[0]) * 1024


def device_name(device: torch.device) -> str:
    """The device as a reader of figures wants it named."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    cpu = f"CPU ({platform.machine()}, {threads} {'thread' if threads == 1 else 'threads'})"
    return cpu if device.type == "cpu" else device.type
