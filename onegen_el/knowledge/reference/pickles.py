"""Reads a pickle as data: lists, tuples, dicts, texts, numbers, and notes of what it would call.

Knows the opcodes of pickle and nothing else: no name is ever imported, nothing is called or built. A name
that the pickle would import becomes a Name, a call a Call; names that the caller does not expect are refused.
Bytes are views into what is read, so a mapped file of any size is not copied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, NoReturn


class PickleDataError(ValueError):
    """The pickle is damaged, or says more than data; the message says what and at which byte."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the pickle would import, `module.name`."""

    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """What the pickle would call, with its arguments; nothing was called."""

    name: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that lies outside of the pickle, by what the writer called it."""

    id: Any


_MARK: Any = object()
LONGEST_NAME = 1000


def read_pickle(data: memoryview, names: Container[str], start: int = 0) -> tuple[Any, int]:
    """The value of the pickle at byte `start` of `data` and the byte after it.

    `names` are the imports (`module.name`) the pickle may speak of. Raises PickleDataError.
    """
    reader = _Reader(data, names, start)
    try:
        return reader.read(), reader.at
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise PickleDataError(f"is not a whole pickle (byte {reader.at:,}: {error})") from error
    except UnicodeDecodeError as error:
        raise PickleDataError(f"holds text that is not UTF-8 (before byte {reader.at:,})") from error


class _Reader:
    """The machine of pickle, with a stack and a memo, over bytes in memory or in a mapped file."""

    def __init__(self, data: memoryview, names: Container[str], start: int) -> None:
        self.data, self.names, self.at = data, names, start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        data, actions = self.data, ACTIONS
        while True:
            code = data[self.at]
            self.at += 1
            if code == STOP:
                break
            action = actions[code]
            if action is None:
                self.refuse(f"uses the opcode {chr(code)!r}, which plain data has no need of")
            action(self)
        value = self.stack.pop()
        if self.stack or value is _MARK:
            self.refuse("leaves values over")
        return value

    def refuse(self, why: str) -> NoReturn:
        raise PickleDataError(f"{why} (before byte {self.at:,})")

    def take(self, size: int) -> memoryview:
        end = self.at + size
        if size < 0 or end > len(self.data):
            self.refuse(f"is cut off: {size:,} bytes are announced, {len(self.data) - self.at:,} are there")
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, format: str) -> int:
        (value,) = struct.unpack(format, self.take(struct.calcsize(format)))
        return int(value)

    def line(self) -> str:
        # Names are short: a line end that does not come soon never will.
        text, end, _ = bytes(self.data[self.at : self.at + LONGEST_NAME]).partition(b"\n")
        if not end:
            self.refuse("has a name without an end")
        self.at += len(text) + 1
        return text.decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def text(self, size: int) -> None:
        self.stack.append(str(self.take(size), "utf-8"))

    def popped(self) -> list[Any]:
        """What stands above the last mark, which goes too."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                self.refuse("closes what was not opened")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def pushed_tuple(self, size: int) -> None:
        values = self.stack[-size:]
        if len(values) < size:
            self.refuse("takes values that were not given")
        self.stack[-size:] = [tuple(values)]

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            self.refuse(f"fills something that is no {kind.__name__}")
        return self.stack[-1]

    def named(self, module: Any, name: Any) -> None:
        path = f"{module}.{name}"
        if type(module) is not str or type(name) is not str or path not in self.names:
            self.refuse(f"wants to import {path[:80]}, which is not data")
        self.stack.append(Name(path))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.named(module, name)

    def called(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or type(args) is not tuple:
            self.refuse("calls something that is not a name")
        self.stack.append(Call(function.path, args))

    def set_items(self, values: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                self.refuse("has a key that is no text")
            target[key] = value

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def append(self) -> None:
        value = self.stack.pop()
        self.top(list).append(value)

    def extend(self) -> None:
        values = self.popped()
        self.top(list).extend(values)

    def memoize(self, key: int) -> None:
        self.memo[key] = self.stack[-1]


STOP = ord(".")
ACTIONS: list[Callable[[_Reader], Any] | None] = [None] * 256


def _opcodes() -> dict[bytes, Callable[[_Reader], Any]]:
    """Opcodes of the protocols 2 to 5 that data need; what builds objects is left out on purpose."""
    return {
        b"\x80": lambda r: r.take(1),  # PROTO
        b"\x95": lambda r: r.take(8),  # FRAME: a hint for buffering
        b"N": lambda r: r.push(None),
        b"\x88": lambda r: r.push(True),
        b"\x89": lambda r: r.push(False),
        b"K": lambda r: r.push(r.number("<B")),
        b"M": lambda r: r.push(r.number("<H")),
        b"J": lambda r: r.push(r.number("<i")),
        b"\x8a": lambda r: r.push(int.from_bytes(r.take(r.number("<B")), "little", signed=True)),
        b"\x8c": lambda r: r.text(r.number("<B")),
        b"X": lambda r: r.text(r.number("<I")),
        b"\x8d": lambda r: r.text(r.number("<Q")),
        b"C": lambda r: r.push(r.take(r.number("<B"))),
        b"B": lambda r: r.push(r.take(r.number("<I"))),
        b"\x8e": lambda r: r.push(r.take(r.number("<Q"))),
        b"(": lambda r: r.push(_MARK),
        b")": lambda r: r.push(()),
        b"\x85": lambda r: r.pushed_tuple(1),
        b"\x86": lambda r: r.pushed_tuple(2),
        b"\x87": lambda r: r.pushed_tuple(3),
        b"t": lambda r: r.push(tuple(r.popped())),
        b"]": lambda r: r.push([]),
        b"a": _Reader.append,
        b"e": _Reader.extend,
        b"}": lambda r: r.push({}),
        b"s": _Reader.set_item,
        b"u": lambda r: r.set_items(r.popped()),
        b"q": lambda r: r.memoize(r.number("<B")),
        b"r": lambda r: r.memoize(r.number("<I")),
        b"\x94": lambda r: r.memoize(len(r.memo)),
        b"h": lambda r: r.push(r.memo[r.number("<B")]),
        b"j": lambda r: r.push(r.memo[r.number("<I")]),
        b"c": lambda r: r.named(r.line(), r.line()),
        b"\x93": _Reader.stack_global,
        b"R": _Reader.called,
        b"Q": lambda r: r.push(Reference(r.stack.pop())),
    }


for _code, _action in _opcodes().items():
    ACTIONS[_code[0]] = _action
