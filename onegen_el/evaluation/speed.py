"""Speed and memory of linking: the decoding loops against each other, and the whole program from its start.

Knows the linker and the decoding loops; compares ratios within one run, since machines differ.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onegen_el.decoding import Decoded, decode, decode_naive
from onegen_el.grammar import Prompted
from onegen_el.linker import EntityLinker
from onegen_el.windows import cut_windows


@dataclass(frozen=True, slots=True)
class Rate:
    """Source tokens a second of one way to decode, and how many times the slowest way that is."""

    name: str
    tokens: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from process start to the end, and peak memory in megabytes, of one `link` of a short text."""

    seconds: float
    megabytes: float


def decoding_rates(linker: EntityLinker, text: str, windows: int = 32, batch: int = 16) -> list[Rate]:
    """The naive and the speculative loop at batch 1 and `batch` on the first windows of a text.

    Raises AssertionError if two ways should differ in a single mark.
    """
    backbone, bias = linker.backbone, linker.calibration.mark_bias
    tokens = backbone.tokenize(text)
    cut = cut_windows(tokens, backbone.manifest.windows)[:windows]
    prompted = [window.prompted(tokens, backbone.aligned) for window in cut]
    source = sum(window.last - window.first for window in prompted)
    decode(backbone, prompted[:2], bias=bias)  # the first pass pays for allocations
    ways = {
        "naive, one window at a time": lambda: [decode_naive(backbone, prompted, bias=bias)],
        "speculative, batch 1": lambda: _batched(linker, prompted, 1),
        f"speculative, batch {batch}": lambda: _batched(linker, prompted, batch),
    }
    seconds, marks = {}, {}
    for name, run in ways.items():
        started = time.perf_counter()
        decoded = run()
        seconds[name] = time.perf_counter() - started
        marks[name] = [
            [(mention.first, mention.last) for mention in window]
            for part in decoded
            for window in part.mentions
        ]
    slowest = max(seconds.values())
    first = next(iter(marks.values()))
    assert all(other == first for other in marks.values()), "the decoding loops disagree"
    return [Rate(name, source / took, slowest / took) for name, took in seconds.items()]


def _batched(linker: EntityLinker, prompted: Sequence[Prompted], size: int) -> list[Decoded]:
    bias = linker.calibration.mark_bias
    return [
        decode(linker.backbone, prompted[at : at + size], bias=bias) for at in range(0, len(prompted), size)
    ]


def pipe_seconds(
    pipes: Mapping[str, Callable[[Sequence[str]], Iterable[object]]], texts: Sequence[str], rounds: int = 3
) -> dict[str, float]:
    """Seconds each pipe takes for all texts: the best of `rounds`, in which they take turns, after a first
    text that opens what is opened late."""
    best = dict.fromkeys(pipes, float("inf"))
    for pipe in pipes.values():
        deque(pipe(texts[:1]), maxlen=0)
    for _ in range(rounds):
        for name, pipe in pipes.items():
            started = time.perf_counter()
            deque(pipe(texts), maxlen=0)
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def process_start(arguments: Sequence[str], text: Path) -> Start:
    """One run of `onegen-el link` in a process of its own; raises CalledProcessError if it fails."""
    command = [
        sys.executable,
        "-m",
        "onegen_el",
        "link",
        *arguments,
        "--format",
        "jsonl",
        "--quiet",
        str(text),
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    # Linux counts kilobytes, macOS bytes; the figure is the largest child so far.
    unit = 1 if sys.platform == "darwin" else 1024
    return Start(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6)


def help_seconds() -> float:
    """Seconds of `onegen-el --help`, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "onegen_el", "--help"], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best
