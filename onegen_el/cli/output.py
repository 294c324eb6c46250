"""Where a command writes its result: stdout, or a file that appears whole or not at all.

Knows files and streams; does not know formats. While it is written a file is called `FILE.partial`, and
if the run does not come to its end that is what stays.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from onegen_el.errors import InputError

STDOUT = "-"
SIGPIPE_EXIT = 141  # what a shell reports for a program whose reader went away


class Output:
    """A binary `stream` to write to; used as a context, and whole only after `commit()`.

    An incomplete file is left as `kept` if `worth_keeping` was set, else removed.
    Raises InputError where the file cannot be made.
    """

    def __init__(self, path: Path | None) -> None:
        self.kept: Path | None = None
        self.worth_keeping = False
        self._target: Path | None = None
        self._partial: Path | None = None
        if path is None or str(path) == STDOUT:
            self.stream: BinaryIO = sys.stdout.buffer
            return
        try:
            self._target = path.resolve()
            # A device or a pipe cannot be replaced by a rename, it is written to as it is.
            if not self._target.exists() or self._target.is_file():
                self._partial = self._target.with_name(self._target.name + ".partial")
            self.stream = (self._partial or self._target).open("wb")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another -o") from error

    @property
    def is_terminal(self) -> bool:
        return self._target is None and sys.stdout.isatty()

    def commit(self) -> None:
        """The partial file becomes the file."""
        self.stream.flush()
        if self._partial is not None and self._target is not None:
            os.fsync(self.stream.fileno())
            self.stream.close()
            self._partial.replace(self._target)
            self._partial = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._target is not None:
            self.stream.close()
        if self._partial is not None and self.worth_keeping:
            self.kept = self._partial
        elif self._partial is not None:
            self._partial.unlink()


def abandon_stdout() -> None:
    """After a broken pipe: what Python still holds for stdout goes nowhere, instead of failing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
