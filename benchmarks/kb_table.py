"""The figures as Markdown, for docs/benchmarks.md.

Knows their names and how they are said; parts that were not run are left out.
"""

from __future__ import annotations

from typing import Any

NAMES = {
    "graph": "onegen-el, as the KB is",
    "exact": "onegen-el, exact",
    "reference": "brute force as the reference",
    "faiss hnsw": "faiss HNSW, float32",
    "faiss flat": "faiss flat, float32",
}
ENTITY_STAGES = ("read", "embed", "store", "graph")


def markdown(figures: dict[str, Any]) -> str:
    writers = {
        "build": _build,
        "size": _size,
        "open": _open,
        "memory": _memory,
        "recall": _recall,
        "add": _add,
    }
    rows = [row for part, write in writers.items() if part in figures for row in write(figures[part])]
    told = figures["machine"]
    texts = [
        f"On one core of {told['cpu']}, one thread; Python {told['python']}, usearch {told['usearch']}, "
        f"NumPy {told['numpy']}, PyTorch {told['torch']}.",
    ]
    if rows:
        texts.append("\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)]))
    if "rates" in figures:
        texts.append(_ways(figures["rates"], "the same vectors and queries"))
    if "wide" in figures:
        wide = figures["wide"]
        texts.append(_ways(wide["ways"], f"{wide['count']:,} generated vectors of {wide['dims']:,}"))
        expected = ", ".join(f"{NAMES[name]} {ms:,.1f}" for name, ms in wide["expected_ms"].items())
        texts.append(
            f"Extrapolated to {wide['full']:,} such vectors, ms a query: {expected}. What looks at all "
            "grows with their number; a graph is taken to grow with every doubling as it did from a quarter."
        )
    for part, write in (("widths", _widths), ("forms", _forms)):
        if part in figures:
            texts += write(figures[part])
    return "\n\n".join(texts) + "\n"


def _ways(ways: dict[str, Any], what: str) -> str:
    slow = ways["reference"]
    lines = [
        f"| {what} | recall@1 | recall@10 | ms a query | queries/s, batches of 64 | times the reference | MB "
        "| build, s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, way in ways.items():
        note = f" ({way['note']})" if way["note"] else ""
        times = f"{slow['ms'] / way['ms']:,.1f}, {way['batched'] / slow['batched']:,.1f}"
        lines.append(
            f"| {NAMES[name]}{note} | {way['recall@1']:.4f} | {way['recall@10']:.4f} | {way['ms']:,.2f} "
            f"| {way['batched']:,.0f} | {times} | {way['bytes'] / 1e6:,.0f} "
            f"| {way['build_seconds'] or '':{',.0f' if way['build_seconds'] else ''}} |"
        )
    return "\n".join(lines)


def _build(part: dict[str, Any]) -> list[tuple[str, str]]:
    seconds = part["seconds"]
    count = part["entities"]
    rows = [
        (f"build: {stage}", f"{seconds[stage]:,.1f} s, {count / seconds[stage]:,.0f} entities/s")
        for stage in ENTITY_STAGES
        if seconds.get(stage)
    ]
    return [*rows, ("build, whole", f"{sum(seconds.values()):,.0f} s")]


def _size(part: dict[str, Any]) -> list[tuple[str, str]]:
    files = [(name, f"{size / 1e6:,.1f} MB") for name, size in part["files"].items()]
    kind = f"{part['dims']} x {part['dtype']}, {part['index']}"
    return [
        ("entities", f"{part['entities']:,} ({kind})"),
        *files,
        ("vectors alone", f"{part['vectors'] / 1e6:,.1f} MB"),
        ("vectors and index", f"{part['vectors_and_index'] / 1e6:,.1f} MB"),
    ]


def _open(part: dict[str, float]) -> list[tuple[str, str]]:
    return [
        ("opening, in a fresh process", f"{part['open']:.3f} s"),
        ("its first search", f"{part['first_search']:.3f} s"),
        ("importing the package before", f"{part['import']:.2f} s"),
    ]


def _memory(part: dict[str, float]) -> list[tuple[str, str]]:
    if "own" not in part:
        return [("resident after 1,000 queries, at most", f"{part['resident'] / 1e6:,.0f} MB")]
    own = (part["own"] - part["own_before"]) / 1e6
    mapped = (part["mapped"] - part["mapped_before"]) / 1e6
    return [
        ("resident after 1,000 queries", f"{part['resident'] / 1e6:,.0f} MB"),
        ("of it since opening: own, mapped files", f"{own:,.0f} MB, {mapped:,.0f} MB"),
    ]


def _recall(part: dict[str, float]) -> list[tuple[str, str]]:
    count = f"{part['queries']:,} real queries"
    return [
        (f"recall@1 of exact, {count}", f"{part['recall@1']:.4f}"),
        ("recall@10 of exact", f"{part['recall@10']:.4f}"),
    ]


def _add(part: dict[str, Any]) -> list[tuple[str, str]]:
    found = "found" if part["found"] else "NOT FOUND"
    return [
        ("`kb add` of one entity, without the model's import", f"{part['seconds']:.2f} s, then {found}"),
        ("the model's import and loading", f"{part['model_seconds']:.1f} s"),
    ]


def _widths(part: dict[str, Any]) -> list[str]:
    return [_recalls("searched as wide as", part, ("ms",))]


def _forms(part: dict[str, Any]) -> list[str]:
    return [
        _recalls(f"stored as, {part['rows']:,} entities", part["forms"], ("bytes",)),
        _recalls(f"graph, width, {part['graph_rows']:,} vectors", part["graphs"], ("compared",)),
    ]


def _recalls(what: str, rows: dict[str, Any], more: tuple[str, ...]) -> str:
    lines = [
        f"| {' | '.join((what, 'recall@1', 'recall@10', *more))} |",
        "|---|--:|--:" + "|--:" * len(more) + "|",
    ]
    for name, row in rows.items():
        values = [f"{row['recall@1']:.4f}", f"{row['recall@10']:.4f}", *(f"{row[key]:,.2f}" for key in more)]
        lines.append(f"| {' | '.join((name, *values))} |")
    return "\n".join(lines)
