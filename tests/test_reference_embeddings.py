"""The reference's embedding file: every layout is read as it is, and whatever is more is refused."""

import io
import os
import pickle
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onegen_el.errors import KBError
from onegen_el.knowledge.reference import open_embeddings
from onegen_el.knowledge.reference.pickles import PickleDataError, read_pickle

UIDS = ["Q1", "Q2-0", "Q2-1", "enwiki:Ada"]
VECTORS = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 8


def python(protocol: int) -> Callable[[Any, Path], None]:
    return lambda value, path: path.write_bytes(pickle.dumps(value, protocol))


def torch_zip(value: Any, path: Path) -> None:
    torch.save(value, path)


def torch_old(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


SAVERS = {
    "pickle-3": python(3),
    "pickle-4": python(4),
    "pickle-5": python(5),
    "torch-zip": torch_zip,
    "torch-old": torch_old,
}
LAYOUTS = pytest.mark.parametrize("save", SAVERS.values(), ids=SAVERS)


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_every_layout_gives_what_was_saved(tmp_path: Path, save: Any, dtype: torch.dtype) -> None:
    path = tmp_path / "e.pkl"
    save((VECTORS.to(dtype), UIDS), path)
    read = open_embeddings(path)
    assert (read.uids, len(read), read.dims) == (UIDS, 4, 3)
    assert read.rows(slice(None)).dtype == np.float32
    np.testing.assert_array_equal(read.rows(slice(None)), VECTORS.numpy())
    np.testing.assert_array_equal(read.rows(np.array([3, 1])), VECTORS.numpy()[[3, 1]])


@LAYOUTS
@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (VECTORS[1:3], VECTORS[1:3]),
        (VECTORS.T.contiguous().T, VECTORS),
        (VECTORS.clone().requires_grad_(), VECTORS),
        (VECTORS[:, :0], VECTORS[:, :0]),
    ],
    ids=["a part of a larger one", "columns first", "with gradients", "empty"],
)
def test_tensors_need_not_be_plain(tmp_path: Path, save: Any, tensor: Any, expected: Any) -> None:
    path = tmp_path / "e.pkl"
    save([tensor, UIDS[: len(tensor)]], path)
    np.testing.assert_array_equal(open_embeddings(path).rows(slice(None)), expected.numpy())


@LAYOUTS
def test_numbers_are_uids_too(tmp_path: Path, save: Any) -> None:
    save((VECTORS, (1, 300, 70_000, -(10**12))), tmp_path / "e.pkl")
    assert open_embeddings(tmp_path / "e.pkl").uids == ["1", "300", "70000", "-1000000000000"]


@LAYOUTS
def test_a_large_file_is_not_read(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "e.pkl"
    save((torch.zeros(1000, 4096), [f"Q{number}" for number in range(1000)]), path)
    assert path.stat().st_size > 16e6
    tracemalloc.start()
    try:
        opened = open_embeddings(path)
        assert opened.rows(slice(500, 510)).shape == (10, 4096)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


# --- what is refused ---


class Runs:
    """Pickled, it calls `function(*args)` when it is read by an ordinary unpickler."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file that whatever is executed would make; the test ends with a look for it."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "trapped").exists()


MALICE = {
    "os.system": lambda: Runs(os.system, "touch trapped"),
    "eval": lambda: Runs(eval, "open('trapped', 'w')"),
    "exec": lambda: Runs(exec, "open('trapped', 'w')"),
    "getattr": lambda: Runs(getattr, Runs(__import__, "os"), "system"),
    "a process": lambda: Runs(subprocess.Popen, ["touch", "trapped"]),
    "a call in a call": lambda: Runs(os.path.join, Runs(os.system, "touch trapped")),
    "in a dict": lambda: {"a": [{"b": Runs(os.system, "touch trapped")}]},
    "torch.load": lambda: Runs(torch.load, io.BytesIO(pickle.dumps(Runs(os.system, "touch trapped")))),
    "bytes for torch": lambda: Runs(
        torch.storage._load_from_bytes, pickle.dumps(Runs(os.system, "touch trapped"))
    ),
    "an object": lambda: Path("trapped"),
    "an array": lambda: np.zeros((4, 3)),
}


@LAYOUTS
@pytest.mark.parametrize("make", MALICE.values(), ids=MALICE)
@pytest.mark.parametrize("place", ["tensor", "uids", "a uid", "the whole"])
def test_code_is_refused_and_not_executed(
    tmp_path: Path, trap: None, save: Any, make: Callable[[], Any], place: str
) -> None:
    value = {
        "tensor": (make(), UIDS),
        "uids": (VECTORS, make()),
        "a uid": (VECTORS, [*UIDS[:3], make()]),
        "the whole": make(),
    }[place]
    save(value, tmp_path / "e.pkl")
    with pytest.raises(KBError, match=r"e\.pkl: refused, .*Nothing of it was executed"):
        open_embeddings(tmp_path / "e.pkl")


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_old_protocols_are_refused_as_well(tmp_path: Path, trap: None, protocol: int) -> None:
    for value in (Runs(os.system, "touch trapped"), (VECTORS, UIDS)):
        (tmp_path / "e.pkl").write_bytes(pickle.dumps(value, protocol))
        with pytest.raises(KBError, match="refused"):
            open_embeddings(tmp_path / "e.pkl")


def test_code_inside_of_the_stored_tensor_is_refused(tmp_path: Path, trap: None) -> None:
    """The tensor's bytes are a torch file of their own; there the code would run a level deeper."""
    good = pickle.dumps((VECTORS, UIDS), 4)
    inner = good.index(b"\x80\x02(X\x07\x00\x00\x00storage")
    for code in (
        b"cos\nsystem\n(X\x0d\x00\x00\x00touch trappedtR.",
        b"c__builtin__\neval\n)R.",
        b"cposix\nsystem\n.",
    ):
        path = tmp_path / "e.pkl"
        path.write_bytes(good[:inner] + code + good[inner + len(code) :])
        with pytest.raises(KBError, match="refused, the file wants to import"):
            open_embeddings(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"cos\nsystem\n.", "wants to import os.system"),
        (b"\x8c\x02os\x8c\x06system\x93.", "wants to import os.system"),
        (b"\x8c\x0ctorch._utils\x8c\x1e_rebuild_tensor_v2.__globals__\x93.", "wants to import"),
        (b"K\x01K\x02\x93.", "wants to import"),
        (b"(ios\nsystem\n.", "opcode 'i'"),
        (b"\x82\x01.", "opcode"),
        (b"}}b.", "opcode 'b'"),
        (b"))\x81.", "opcode"),
        (b"K\x01)R.", "calls something that is not a name"),
        (b"}K\x01K\x02s.", "has a key that is no text"),
        (b")K\x02a.", "fills something that is no list"),
        (b"]K\x02K\x03s.", "fills something"),
        (b"(.", "leaves values over"),
        (b"t.", "closes what was not opened|not a whole"),
        (b"\x86.", "takes values that were not given"),
        (b"K\x01K\x02.", "leaves values over"),
        (b"h\x07.", "not a whole pickle"),
        (b"X\xff\xff\xff\xffabc.", "is cut off: 4,294,967,295 bytes are announced, 4 are there"),
        (b"X\x02\x00\x00\x00\xff\xfe.", "not UTF-8"),
        (b"cos", "a name without an end"),
        (b"c" + b"x" * 3000, "a name without an end"),
        (b"K", "is cut off"),
        (b"", "not a whole pickle"),
        (b".", "not a whole pickle"),
        (b"0.", "opcode '0'"),
    ],
)
def test_faulty_pickles_are_told(data: bytes, says: str) -> None:
    with pytest.raises(PickleDataError, match=says):
        read_pickle(memoryview(data), {"torch._utils._rebuild_tensor_v2"})


@LAYOUTS
def test_a_file_that_was_cut_off_is_refused_wherever(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "e.pkl"
    save((VECTORS, UIDS), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 11):
        path.write_bytes(whole[:size])
        with pytest.raises(KBError, match=r"e\.pkl: (refused|cannot be read)"):
            open_embeddings(path)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    """It would read memory that is not the file's."""
    path = tmp_path / "e.pkl"
    good = pickle.dumps((VECTORS, UIDS), 4)
    shape = good.index(b"K\x04K\x03\x86")
    path.write_bytes(good[:shape] + b"K\xff" + good[shape + 2 :])
    with pytest.raises(KBError, match=r"a tensor \[255, 3\] that its storage of 12 numbers cannot hold"):
        open_embeddings(path)
    stride = good.index(b"K\x03K\x01\x86")
    path.write_bytes(good[:stride] + b"J" + struct.pack("<i", -3) + good[stride + 2 :])
    with pytest.raises(KBError, match="refused"):
        open_embeddings(path)


@LAYOUTS
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((VECTORS, UIDS[:3]), "has 4 vectors and 3 uids"),
        ((VECTORS[0], UIDS), "where a tensor"),
        ((VECTORS.int(), UIDS), "refused"),
        ((VECTORS, [*UIDS[:3], None]), "a NoneType among the uids"),
        ((VECTORS, [*UIDS[:3], True]), "a bool among the uids"),
        ((VECTORS, "Q1"), "not a pair"),
        (VECTORS, "refused"),
        ({"vectors": VECTORS, "uids": UIDS}, "refused"),
        ((VECTORS, UIDS, 3), "not a pair"),
        ((UIDS, VECTORS), "refused"),
        (([1.0, 2.0], UIDS), "refused"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, save: Any, value: Any, says: str) -> None:
    save(value, tmp_path / "e.pkl")
    with pytest.raises(KBError, match=says):
        open_embeddings(tmp_path / "e.pkl")


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("missing", "empty", "."):
        with pytest.raises(KBError, match="cannot be read"):
            open_embeddings(tmp_path / name)
    (tmp_path / "words").write_text("nothing of the kind")
    with pytest.raises(KBError, match="refused"):
        open_embeddings(tmp_path / "words")
