"""How pipes are timed against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onegen_el.evaluation.speed import pipe_seconds


def test_pipes_take_turns_after_a_first_text_each() -> None:
    calls: list[tuple[str, int]] = []

    def pipe(name: str, texts: Sequence[str]) -> Iterator[str]:
        calls.append((name, 0))
        for text in texts:
            calls[-1] = (name, calls[-1][1] + 1)  # counts what was really drawn from it
            yield text

    seconds = pipe_seconds(
        {"one": lambda texts: pipe("one", texts), "two": lambda texts: pipe("two", texts)}, ["a", "b", "c"], 2
    )
    assert calls == [("one", 1), ("two", 1), *[("one", 3), ("two", 3)] * 2]
    assert all(0 < took < 1 for took in seconds.values())
