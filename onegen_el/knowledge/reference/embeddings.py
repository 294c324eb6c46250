"""Opens the reference's embedding file, one pickle of a tensor `[n, dims]` and the list of its n uids.

Knows how a tensor lies in a pickle of Python's and in both file formats of torch. Nothing that the file says
is ever executed, and the vectors stay in the mapped file until rows are asked for.
"""

from __future__ import annotations

import mmap
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from onegen_el.errors import KBError
from onegen_el.knowledge.reference.pickles import Call, Name, PickleDataError, Reference, read_pickle

REBUILD, FROM_BYTES = "torch._utils._rebuild_tensor_v2", "torch.storage._load_from_bytes"
ORDERED = "collections.OrderedDict"
BFLOAT16 = np.dtype("<u2")  # numpy has no such type: the upper half of a float32
STORAGES: Mapping[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": BFLOAT16,
}
NAMES = frozenset({REBUILD, FROM_BYTES, ORDERED, *STORAGES})
MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of torch's file format before its version 1.6
PROTOCOL = 1001
UNSAFE_NAME = re.compile(r"GLOBAL ([\w.]+)")
ZIP = b"PK\x03\x04"
EXPECTED = "expected one pickle of (tensor [n, dims], [uid, ...]), saved by pickle.dump or torch.save"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`uids` and their vectors, row by row; `rows` reads some of them.

    `stored` is `[n, dims]` as it lies in the file, float64, float32, float16, or the 16 bits of bfloat16.
    """

    uids: list[str]
    stored: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def dims(self) -> int:
        return int(self.stored.shape[1])

    def rows(self, rows: slice | np.ndarray) -> np.ndarray:
        """float32 `[rows, dims]`, a copy."""
        part = self.stored[rows]
        if part.dtype == BFLOAT16:
            return (part.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite, and told as such
            return part.astype(np.float32)


def open_embeddings(path: str | Path) -> Embeddings:
    """Maps an embedding file; only its uids are read.

    Read are pickles of Python (protocol 3 and later) and both formats of torch.save, by a reader that knows
    tensors, lists, texts and numbers. Raises KBError for whatever else a file holds, and executes none of it.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is empty"
        raise KBError(f"{path}: cannot be read ({why}); give the embedding file of the reference") from error
    try:
        if data[: len(ZIP)] == ZIP:
            stored, uids = _zipped(path)
        else:
            stored, uids = _pickled(data)
    except PickleDataError as error:
        raise KBError(f"{path}: refused, the file {error}; {EXPECTED}. Nothing of it was executed") from error
    if len(stored) != len(uids):
        raise KBError(f"{path}: has {len(stored):,} vectors and {len(uids):,} uids; fetch the file again")
    return Embeddings(uids, stored)


def _zipped(path: Path) -> tuple[np.ndarray, list[str]]:
    """torch.save since version 1.6: torch itself reads nothing but data then, and maps the tensors."""
    import torch

    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError, KeyError, EOFError, OSError, pickle.UnpicklingError) as error:
        # torch's own message goes on to explain how to load it all the same.
        named = UNSAFE_NAME.search(str(error))
        why = (
            f"wants to import {named[1]}, which is not data"
            if named
            else "is damaged, or holds more than a tensor and texts"
        )
        raise PickleDataError(why) from error
    tensor, uids = _pair(value)
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.ndim != 2:
        _not_a_table(tensor)
    if tensor.dtype is torch.bfloat16:
        return tensor.detach().view(torch.uint16).numpy(), uids
    if tensor.dtype not in (torch.float64, torch.float32, torch.float16):
        raise PickleDataError(f"has vectors of type {tensor.dtype}")
    return tensor.detach().numpy(), uids


def _pickled(data: memoryview) -> tuple[np.ndarray, list[str]]:
    """pickle.dump, or torch.save before version 1.6."""
    value, end = read_pickle(data, NAMES)
    numbers = None
    if value == MAGIC:
        value, numbers = _torch_file(data, end)
    tensor, uids = _pair(value)
    match tensor:
        case Call(args=(storage, int(offset), (int(n), int(dims)), (int(down), int(across)), *_)) if (
            tensor.name == REBUILD
        ):
            flat = _inner(storage) if numbers is None else _numbers(storage, numbers)
        case _:
            _not_a_table(tensor)
    last = offset + (n - 1) * down + (dims - 1) * across
    if min(offset, n, dims, down, across) < 0 or (n * dims and last >= len(flat)):
        raise PickleDataError(
            f"has a tensor [{n}, {dims}] that its storage of {len(flat):,} numbers cannot hold"
        )
    steps = (down * flat.itemsize, across * flat.itemsize)
    return np.lib.stride_tricks.as_strided(flat[offset:], (n, dims), steps, writeable=False), uids


def _torch_file(data: memoryview, at: int) -> tuple[Any, memoryview]:
    """The value of a torch file of the old format, read after its magic number, and its one storage.

    Pickles of the protocol, the system, the value and the storages' keys are followed by each storage.
    """
    protocol, at = read_pickle(data, NAMES, at)
    system, at = read_pickle(data, NAMES, at)
    if protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise PickleDataError("is of an unknown version of torch's format, or of a big-endian machine")
    value, at = read_pickle(data, NAMES, at)
    keys, at = read_pickle(data, NAMES, at)
    if not isinstance(keys, list) or len(keys) != 1:
        raise PickleDataError("holds several tensors, or none")
    return value, data[at:]


def _inner(storage: Any) -> np.ndarray:
    """The numbers of a storage that pickle.dump has stored: a torch file of the old format, as bytes."""
    match storage:
        case Call(args=(memoryview() as inner,)) if storage.name == FROM_BYTES:
            magic, at = read_pickle(inner, NAMES)
            if magic == MAGIC:
                return _numbers(*_torch_file(inner, at))
    raise PickleDataError("has a tensor whose numbers are not where torch puts them")


def _numbers(storage: Any, data: memoryview) -> np.ndarray:
    """The numbers of a storage, which lie after their count, an int64, at the start of `data`."""
    match storage:
        case Reference(id=("storage", Name(path), str(), str(), int(), None)) if path in STORAGES:
            dtype = STORAGES[path]
        case _:
            raise PickleDataError("has vectors that are not floating-point numbers")
    size = int.from_bytes(data[:8], "little") * dtype.itemsize
    if len(data) < 8 + size:
        raise PickleDataError(
            f"is cut off: {size:,} bytes of vectors are announced, {len(data) - 8:,} are there"
        )
    numbers: np.ndarray = np.frombuffer(data[8 : 8 + size], dtype)
    return numbers


def _pair(value: Any) -> tuple[Any, list[str]]:
    if not isinstance(value, tuple | list) or len(value) != 2 or not isinstance(value[1], list | tuple):
        raise PickleDataError("is not a pair of a tensor and a list of uids")
    for uid in value[1]:
        if type(uid) not in (str, int):
            raise PickleDataError(f"has a {type(uid).__name__} among the uids, which are texts or numbers")
    return value[0], [str(uid) for uid in value[1]]


def _not_a_table(tensor: Any) -> NoReturn:
    raise PickleDataError(f"holds {_kind(tensor)} where a tensor [n, dims] should be")


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"a tensor {list(shape)}" if shape is not None else f"a {type(value).__name__.lower()}"
