"""What the commands say on stderr: errors, notes, and a progress bar with documents/s.

Knows terminals; does not know what is being done. `rich` is imported when something is said, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from onegen_el.unicode import visible

if TYPE_CHECKING:
    from rich.console import Console


def stderr(color: bool | None = None) -> Console:
    """A console on stderr; `color=False` forbids colours, None leaves them to terminal and NO_COLOR."""
    from rich.console import Console

    return Console(stderr=True, no_color=True if color is False else None, highlight=False, soft_wrap=True)


def say(console: Console, message: str, style: str = "") -> None:
    """One line; line breaks and escapes in the message (it may quote file names) are neutralised."""
    from rich.text import Text

    console.print(Text(" ".join(visible(message).split()), style=style))


def say_error(message: str, console: Console | None = None) -> None:
    """One red line, `error: ...`."""
    say(console or stderr(), f"error: {message}", "red")


def count(number: int, noun: str) -> str:
    """`1 document`, `2 documents`, `2 entities`."""
    if number != 1:
        noun = noun.removesuffix("y") + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun}"


@contextmanager
def progress(console: Console, total: int | None, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """Shows a bar until the block ends; call what it gives with the documents done and the documents/s.

    The bar says "loading" until the first call. `total` is None where it is not known.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("loading", total=total, rate="")

        def show(documents: int, rate: float) -> None:
            bar.update(task, completed=documents, description="linking", rate=f"{rate:.1f} documents/s")

        yield show
