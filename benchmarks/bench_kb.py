"""Measures a knowledge base: building, disk, opening, memory, recall, speed beside others, an addition.

    python benchmarks/bench_kb.py KB --queries texts.jsonl.gz --json figures.json --markdown table.md

Knows the parts, their order and options; what a part measures is its module's. Each part runs in a fresh
process on one core, one thread. What takes long (queries, exact answers, others' graphs) is kept in --cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PARTS = ("build", "size", "open", "memory", "recall", "widths", "rates", "add", "wide", "forms")
OPENINGS = 5  # fresh processes that open the knowledge base; the median counts


def fresh(function: Callable[..., Any], *arguments: object) -> Any:
    """The answer of `function` in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@cache
def prepared(*asked: Any) -> Path:
    """File of the queries, made for the first part that asks."""
    import kb_queries

    return fresh(kb_queries.prepare, *asked)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    one_core()
    options.cache.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"machine": machine()}
    if options.json.is_file():
        # Parts that are run alone are put beside those of earlier runs.
        figures = json.loads(options.json.read_text("utf-8")) | figures
    for part in PARTS:
        if part in options.parts:
            print(f"{part} ...", file=sys.stderr, flush=True)
            figures[part] = run(part, options)
            options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    from kb_table import markdown

    table = markdown(figures)
    if options.markdown:
        options.markdown.write_text(table, "utf-8")
    print(table)


def run(part: str, options: argparse.Namespace) -> Any:
    """The figures of one part. Modules are imported here, after the number of threads is set."""
    import kb_add
    import kb_forms
    import kb_parts
    import kb_rates
    import kb_wide

    kb = options.kb
    if part == "build":
        return kb_parts.stages(options.stages)
    if part == "size":
        return fresh(kb_parts.sizes, kb)
    if part == "add":
        return kb_add.measure(kb, options.model, options.cache)
    if part == "wide":
        return kb_wide.measure(fresh, options.cache, options.wide_count, options.wide_dims, options.without)
    queries = prepared(kb, options.model, tuple(options.queries), options.sample, options.cache)
    if part == "open":
        runs = [fresh(kb_parts.opening, kb, queries) for _ in range(OPENINGS)]
        return {name: sorted(run[name] for run in runs)[OPENINGS // 2] for name in runs[0]}
    if part == "memory":
        return fresh(kb_parts.memory, kb, queries)
    if part == "recall":
        return fresh(kb_parts.recall, kb, queries)
    if part == "widths":
        return fresh(kb_forms.widths, kb, queries)
    if part == "forms":
        return fresh(kb_forms.forms, kb, options.model, queries)
    return kb_rates.measure_kb(fresh, kb, queries, options.cache, options.without)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    from kb_table import NAMES

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("kb", nargs="?", type=Path, help="folder of the knowledge base; default is the bundled one")
    add("--model", help="folder or hub id of the model; default is the bundled one")
    add(
        "--queries",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="annotated texts, of whose mentions the model makes queries, or .npy of such queries",
    )
    add("--sample", type=int, default=3000, help="queries that are used (default: 3000)")
    add("--stages", type=Path, help="what `onegen-el kb build --json` printed, for the part build")
    add("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)} (default: all)")
    add("--without", nargs="+", choices=list(NAMES), default=[], help="ways to search that are left out")
    add("--wide-count", type=int, default=200_000, help="vectors of the part wide (default: 200,000)")
    add("--wide-dims", type=int, default=4096, help="dimensions of the part wide (default: 4096)")
    add("--cache", type=Path, default=Path("runs/bench-kb"), help="folder for what takes long")
    add("--json", type=Path, default=Path("runs/bench-kb.json"), metavar="FILE")
    add("--markdown", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    if not options.queries and (asking := set(options.parts) - {"build", "size", "add", "wide"}):
        parser.error(f"{', '.join(sorted(asking))}: these parts need --queries")
    if "build" in options.parts and options.stages is None:
        options.parts.remove("build")
    if options.kb is None:
        from onegen_el.resources import resolve

        options.kb = resolve(None, "kb")
    return options


def one_core() -> None:
    """All that is measured, in this process and its children, has one core and one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def machine() -> dict[str, Any]:
    from importlib.metadata import version

    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        cpu = next((value.strip() for name, _, value in lines if name.strip() == "model name"), cpu)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu,
        "python": platform.python_version(),
        "load": load,
        **{name: version(name) for name in ("usearch", "numpy", "torch")},
    }


if __name__ == "__main__":
    main()
