"""The figures of an evaluation as one self-contained HTML page, plots and examples included.

Knows HTML, CSS and SVG; no script, no font, nothing is fetched. All texts, names and titles are escaped, and
only http(s) addresses become links.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from onegen_el.document import WIKIDATA
from onegen_el.evaluation.outcome import Curve, Evaluation, Example, MentionClass, Outcome, Side
from onegen_el.evaluation.tables import Rows, conditions, gerbil, missing, notes, rules, scorings, summary
from onegen_el.gold.names import QID
from onegen_el.unicode import visible

STYLE = """\
:root { color-scheme: light dark; --paper: #fdfcfa; --ink: #22252a; --soft: #6b7078; --line: #e3e0da;
  --panel: #f5f3ee; --p: #1c6ea4; --r: #8f6400; --f: #a2377f; --good: #2b7a3e; --bad: #b5452c; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #dfe1e5; --soft: #969ba5;
  --line: #2c3038; --panel: #1d2025; --p: #7cc4f2; --r: #e6be62; --f: #ef94cb; --good: #86d39a;
  --bad: #f0957f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: .95rem/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.45rem; }
h2 { margin: 0 0 .25rem; font-size: 1.15rem; overflow-wrap: anywhere; }
h3 { margin: 1.75rem 0 .5rem; font-size: .95rem; }
p { margin: .25rem 0 .75rem; max-width: 50rem; color: var(--soft); }
section { margin-top: 2.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; line-height: 1.45; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th.t, td.t { text-align: left; }
table.long td { white-space: normal; overflow-wrap: anywhere; }
table.long td:first-child { white-space: nowrap; }
a { color: var(--p); }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; }
figure { margin: 0; flex: 1 1 22rem; max-width: 30rem; min-width: 0; }
figcaption { color: var(--soft); font-size: .85rem; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--soft); }
svg .grid { stroke: var(--line); fill: none; }
svg .iso { stroke: var(--line); fill: none; stroke-dasharray: 3 3; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .p { stroke: var(--p); } svg .r { stroke: var(--r); } svg .f { stroke: var(--f); }
svg text.p { fill: var(--p); stroke: none; } svg text.r { fill: var(--r); stroke: none; }
svg text.f { fill: var(--f); stroke: none; } svg text.n { stroke: none; }
svg .own { stroke: var(--ink); fill: var(--paper); stroke-width: 2; }
svg .best { stroke: var(--f); fill: var(--f); }
svg .n { stroke: var(--soft); stroke-width: 1.2; }
svg .rule { stroke: var(--ink); stroke-dasharray: 2 3; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .3rem .8rem;
  align-items: center; max-width: 46rem; font-size: .85rem; }
.bar { height: .8rem; border-radius: 2px; background: var(--bad); }
.bar.right { background: var(--good); } .bar.across { background: var(--soft); }
.bars span:nth-child(3n) { text-align: right; font-variant-numeric: tabular-nums; }
details { margin: .35rem 0; border: 1px solid var(--line); border-radius: 4px; background: var(--panel); }
summary { padding: .4rem .7rem; cursor: pointer; }
summary small { color: var(--soft); }
details .wide { padding: 0 .7rem .7rem; }
details ol { margin: 0; padding: 0 .7rem .3rem; list-style: none; }
details li { padding: .55rem 0; border-top: 1px solid var(--line); }
blockquote { margin: 0 0 .2rem; font-family: Georgia, "Times New Roman", serif; overflow-wrap: anywhere;
  unicode-bidi: plaintext; }
mark { padding: .05em .15em; border-radius: 2px; color: inherit;
  background: color-mix(in srgb, var(--f) 22%, transparent); }
.sides { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.sides b { color: var(--ink); font-weight: 600; }
footer { margin-top: 3rem; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--soft); }
"""
HEAD = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Entity linking, measured</title>
<style>
{STYLE}</style>
</head>
<body>
"""
FOOT = "</body>\n</html>\n"
ABOUT_SUMMARY = (
    "Micro scores of strong matches: marks are spans alone, links are spans with their entity, by GERBIL's "
    "InKB rule. Coverage: gold entities that the knowledge base has; accuracy: right entities among the "
    "right spans whose entity it has."
)
ABOUT_SCORINGS = (
    "The same answers scored by different rules, so that published figures can be compared like with like. "
    "95 %: of the micro F1 InKB, documents drawn anew. Searched: GERBIL chose the threshold of scores on "
    "these very documents. Given spans: only entities had to be found. ELEVANT: by its rules. Surface: by "
    "strings instead of spans, as the paper's reference implementation counts. ER: entities aside."
)
# Width, height and margins of a plot's frame, in its own units.
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 420, 300, 40, 12, 12, 38


def html(evaluation: Evaluation) -> str:
    """The whole page."""
    return "".join([HEAD, *_page(evaluation), FOOT])


def _page(evaluation: Evaluation) -> Iterator[str]:
    outcomes = evaluation.outcomes
    yield f"<header><h1>Entity linking, measured</h1>\n<p>{_text(evaluation.conditions.model)}, "
    yield f"{_text(evaluation.conditions.date)}</p></header>\n<main>\n"
    anchors = {outcome.name: f"#corpus-{number}" for number, outcome in enumerate(outcomes, 1)}
    yield f"<p>{ABOUT_SUMMARY}</p>\n" + _table(summary(outcomes), anchors=anchors)
    yield f"<h3>F1 by scoring</h3>\n<p>{ABOUT_SCORINGS}</p>\n" + _table(scorings(outcomes))
    if evaluation.missing:
        yield "<h3>Not here</h3>\n<p>These were asked for and are not on this machine.</p>\n"
        yield _table(missing(evaluation), long=True)
    for number, outcome in enumerate(outcomes, 1):
        yield f'<section id="corpus-{number}">\n'
        yield from _corpus(outcome)
        yield "</section>\n"
    yield "</main>\n<footer><h3>Conditions</h3>\n" + _table(conditions(evaluation), long=True) + "</footer>\n"


def _corpus(outcome: Outcome) -> Iterator[str]:
    half = "" if outcome.half == "all" else f", those of {outcome.half} position"
    yield f"<h2>{_text(outcome.name)}</h2>\n"
    yield f"<p>{outcome.documents:,} documents{half}; {outcome.mentions:,} gold mentions"
    if outcome.seconds:
        yield f"; the first document took {outcome.seconds.first:.2f} s"
        if outcome.seconds.documents:
            yield f", the others {outcome.seconds.rate:.1f} documents/s"
    yield ".</p>\n"
    yield from (f"<p>{_text(note)}.</p>\n" for note in notes(outcome))
    yield "<h3>GERBIL</h3>\n"
    for run in dict.fromkeys(block.run for block in outcome.blocks):
        shown = " open" if run == outcome.blocks[0].run else ""
        yield f"<details{shown}><summary>{_text(run)} <small>{rules(outcome)}</small></summary>\n"
        yield _table(gerbil(outcome, run)) + "</details>\n"
    if outcome.curve:
        yield "<h3>Threshold of scores</h3>\n" + _plots(outcome.curve)
    if outcome.classes:
        yield "<h3>What became of the mentions</h3>\n" + _bars(outcome.classes)
        yield from map(_details, (kind for kind in outcome.classes if kind.examples))


def _table(table: Rows, *, long: bool = False, anchors: dict[str, str] | None = None) -> str:
    kinds = [' class="t"' if index < table.left else "" for index in range(len(table.heads))]
    heads = (f"<th{kind}>{_text(head)}</th>" for kind, head in zip(kinds, table.heads, strict=True))
    lines = [f"<tr>{''.join(heads)}</tr>\n"]
    for row in table.rows:
        cells = [_text(cell) for cell in row]
        if anchors:
            cells[0] = f'<a href="{anchors[row[0]]}">{cells[0]}</a>'
        tagged = (f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, cells, strict=True))
        lines.append(f"<tr>{''.join(tagged)}</tr>\n")
    style = ' class="long"' if long else ""
    return f'<div class="wide"><table{style}>\n{"".join(lines)}</table></div>\n'


def _plots(curve: Curve) -> str:
    best, ring = curve.best, ""
    if _own(curve):
        ring = f" The ring is the threshold that was in force, {curve.own:.3f}."
    return (
        f'<div class="plots">\n<figure>{_precision_recall(curve)}'
        f"<figcaption>Precision over recall of the links as the threshold moves; area {curve.area:.3f}. The "
        f"dot is the best F1, {best.f1:.3f} at {best.threshold:.3f}.{ring}</figcaption></figure>\n"
        f"<figure>{_over_threshold(curve)}"
        "<figcaption>Precision, recall and F1 of the links over the threshold, and the part of the mentions "
        "that are NIL. The best threshold was found on these very documents, so it flatters.</figcaption>"
        "</figure>\n</div>\n"
    )


def _own(curve: Curve) -> tuple[float, float] | None:
    """Recall and precision at the threshold in force: those of the first point that is not below it."""
    if curve.own is None:
        return None
    above = [point for point in curve.points if point.threshold >= curve.own]
    return (above[0].recall, above[0].precision) if above else None


def _precision_recall(curve: Curve) -> str:
    parts = [_frame("recall", "precision", [0.0, 0.25, 0.5, 0.75, 1.0])]
    for f1 in (0.2, 0.4, 0.6, 0.8):
        # Recall at which precision is 1, up to that at which it is the F1's least: P = F R / (2 R - F).
        least = f1 / (2 - f1)
        steps = [least + (1 - least) * step / 24 for step in range(25)]
        parts.append(_line([(r, f1 * r / (2 * r - f1)) for r in steps], "iso"))
        parts.append(_label(1.0, least, f"F1 {f1:.1f}", "", anchor="end"))
    parts.append(_line([(point.recall, point.precision) for point in curve.points], "curve f"))
    if own := _own(curve):
        parts.append(_dot(*own, "own", f"in force: {curve.own:.3f}"))
    parts.append(_dot(curve.best.recall, curve.best.precision, "best", f"best F1 {curve.best.f1:.3f}"))
    return _svg("Precision over recall of links", parts)


def _over_threshold(curve: Curve) -> str:
    points = curve.points
    low, high = points[0].threshold, points[-1].threshold
    reach = (high - low) or 1.0
    parts = [_frame("threshold", "", [low, low + reach / 2, low + reach])]
    places = [(point.threshold - low) / reach for point in points]
    for name, kind, place, values in (
        ("NIL", "n", 0.02, [point.nil_rate for point in points]),
        ("precision", "p", 0.12, [point.precision for point in points]),
        ("recall", "r", 0.32, [point.recall for point in points]),
        ("F1", "f", 0.46, [point.f1 for point in points]),
    ):
        parts.append(_line(list(zip(places, values, strict=True)), f"curve {kind}"))
        parts.append(_label(place, 1.0, name, kind, down=14))
    if curve.own is not None and low <= curve.own <= high:
        x = (curve.own - low) / reach
        parts.append(_line([(x, 0.0), (x, 1.0)], "rule"))
    return _svg("Precision, recall and F1 over the threshold", parts)


def _svg(title: str, parts: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(title)}">{"".join(parts)}</svg>\n'
    )


def _x(value: float) -> float:
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)


def _frame(across: str, up: str, ticks: list[float]) -> str:
    """The grid with its scales: upwards from 0 to 1, across from the first tick to the last."""
    parts = []
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line([(0.0, level), (1.0, level)], "grid"))
        parts.append(_label(0.0, level, f"{level:.2f}", "", anchor="end", right=-6, down=4))
    for number, tick in enumerate(ticks):
        place = number / (len(ticks) - 1)
        parts.append(_line([(place, 0.0), (place, 1.0)], "grid"))
        parts.append(_label(place, 0.0, f"{tick:.2f}", "", anchor="middle", down=15))
    parts.append(_label(0.5, 0.0, across, "", anchor="middle", down=31))
    if up:
        parts.append(_label(0.0, 0.0, up, "", right=6, down=-6))
    return "".join(parts)


def _line(points: list[tuple[float, float]], kind: str) -> str:
    places = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"/>'


def _dot(x: float, y: float, kind: str, tip: str) -> str:
    size = 6 if kind == "own" else 4
    place = f'cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{size}"'
    return f'<circle class="{kind}" {place}><title>{_text(tip)}</title></circle>'


def _label(
    x: float, y: float, text: str, kind: str, *, anchor: str = "start", right: int = 0, down: int = 0
) -> str:
    style = f' class="{kind}"' if kind else ""
    place = f'x="{_x(x) + right:.1f}" y="{_y(y) + down:.1f}" text-anchor="{anchor}"'
    return f"<text{style} {place}>{_text(text)}</text>"


def _bars(classes: tuple[MentionClass, ...]) -> str:
    total = sum(kind.count for kind in classes if kind.kind != "across") or 1
    most = max(kind.count for kind in classes) or 1
    lines = [
        f'<span title="{_text(kind.meaning)}">{_text(kind.name)}</span>'
        f'<span><div class="bar {_text(kind.kind)}" style="width:{100 * kind.count / most:.1f}%">'
        f"</div></span><span>{kind.count:,} ({100 * kind.count / total:.1f} %)</span>\n"
        for kind in classes
    ]
    return f'<div class="bars">\n{"".join(lines)}</div>\n'


def _details(kind: MentionClass) -> str:
    shown = "" if len(kind.examples) == kind.count else f", {len(kind.examples)} of them here"
    return (
        f"<details><summary>{_text(kind.name)} <small>{kind.count:,}{shown} · {_text(kind.meaning)}</small>"
        f"</summary>\n<ol>\n{''.join(map(_example, kind.examples))}</ol></details>\n"
    )


def _example(example: Example) -> str:
    return (
        f'<li><blockquote dir="auto">{_text(example.before)}<mark>{_text(example.surface)}</mark>'
        f"{_text(example.after)}</blockquote>\n"
        f'<div class="sides">gold {_side(example.gold)} · found {_side(example.found)} · '
        f"document {_text(example.document)}</div></li>\n"
    )


def _side(side: Side | None) -> str:
    if side is None:
        return "<b>nothing</b>"
    if side.entity is None:
        return f"<b>NIL</b> for “{_text(side.surface)}”"
    name, identity = _text(side.title or side.entity), _text(side.entity)
    if side.url is not None and side.url.startswith(("https://", "http://")):
        name = f'<a href="{_text(side.url)}">{name}</a>'
    if QID.fullmatch(side.entity):
        identity = f'<a href="{WIKIDATA}{identity}">{identity}</a>'
    return f"<b>{name}</b> ({identity}) for “{_text(side.surface)}”"


def _text(text: str) -> str:
    return escape(visible(text))
