"""Corpora: the registry, downloads from a server that misbehaves in every way, archives, conversion."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import TEXTS
from typer.testing import CliRunner

from onegen_el.cli.corpora import corpora_app
from onegen_el.corpora import Entry, cache_folder, convert, fetch, find, located, read_registry
from onegen_el.corpora.download import Wanted, WrongFileError, download
from onegen_el.corpora.unpack import unpack
from onegen_el.errors import InputError
from onegen_el.gold import GoldDocument, GoldMention, read_gold, read_linked
from onegen_el.gold.convert import write
from onegen_el.gold.document import NIL_IDS, gold_document
from onegen_el.gold.writers.linked import PAIR

ROW = {"id": "1", "text": "Ada moved to London.", "mentions": [{"start": 0, "end": 3, "entity": "Q7259"}]}
BODY = "".join(json.dumps({**ROW, "id": str(i)}) + "\n" for i in range(2000)).encode()
SHA = hashlib.sha256(BODY).hexdigest()


class Server:
    """Serves what `answers` says, one after the other, the last one for ever; notes what was asked."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = [serve()]
        self.asked: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                # One answer a connection, so that a thread never waits for a second request.
                self.close_connection = True
                (server.answers.pop(0) if len(server.answers) > 1 else server.answers[0])(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/corpus.jsonl"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def serve(
    body: bytes = BODY, etag: str | None = '"1"', stop: int | None = None, ranges: bool = True
) -> Callable[[BaseHTTPRequestHandler], None]:
    """An honest file server; with `stop`, the connection breaks after so many bytes of the answer."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if wanted and ranges and request.headers.get("If-Range") == etag:
            start = int(wanted[1])
            if start >= len(body):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(body)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if etag:
            request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        request.wfile.write(body[start:] if stop is None else body[start : start + stop])

    return answer


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "corpora"


def entry(url: str = "", **changes: Any) -> Entry:
    given: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "about": "ours",
        "home": "https://example.org",
        "file": "corpus.jsonl",
        "format": "linked",
        "licence": "ours",
        "redistribution": "free",
        "url": url,
        "how": "" if url else "Ask the library.",
    }
    return Entry(**{**given, **changes})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the registry -----------------------------------------------------------------------------------------


def test_the_registry_lists_what_it_promises() -> None:
    entries = read_registry()
    assert {name for name in entries if not name.startswith("gum")} == {
        *("aida-train", "aida-testa", "aida-testb", "oke-2015-train", "oke-2015-eval", "oke-2016-train"),
        *("oke-2016-eval", "msnbc", "kore50", "reuters-128", "rss-500", "spotlight", "derczynski", "ace2004"),
        *("aquaint", "wiki-fair", "news-fair"),
    }
    assert any(name.startswith("gum") for name in entries)
    for found in entries.values():
        assert found.title and found.about and found.licence and found.home.startswith("https://"), found.name
        assert found.readable or found.notes, f"{found.name}: says nothing about its format"
        assert (found.mentions is None and found.documents is None) or found.counts, found.name
        if "github" in found.url:
            assert re.search(r"/[0-9a-f]{40}/", found.url), f"{found.name}: not pinned to a commit"
            assert found.url.endswith("/" + found.file)


def test_the_parts_of_aida_are_its_documents_without_gap() -> None:
    # Hoffart et al. (2011): 946 + 216 + 231 = 1,393 documents.
    parts = [find(name) for name in ("aida-train", "aida-testa", "aida-testb")]
    assert [part.part for part in parts] == [(0, 946), (946, 1162), (1162, 1393)]
    assert [part.documents for part in parts] == [946, 216, 231]


def test_a_name_is_found_or_the_nearest_are_named() -> None:
    assert find(" KORE50 ").name == "kore50"
    with pytest.raises(InputError, match="aida-train or aida-testa or aida-testb"):
        find("aida")
    with pytest.raises(InputError, match="did you mean msnbc"):
        find("mnsbc")
    with pytest.raises(InputError, match="corpora list"):
        find("zzzzzzzz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"redistribution": "maybe"}, "redistribution is 'maybe'"),
        ({"url": ""}, "either url, or how"),
        ({"how": "ask"}, "either url, or how"),
        ({"url": "ftp://example.org/a"}, "http or https"),
        ({"file": "../a.jsonl"}, "without folders"),
        ({"documents": "many"}, "documents is 'many'"),
        ({"documents": True}, "documents is True"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"part": [3, 3]}, "part is"),
        ({"part": [0, 2], "format": "html"}, "part is"),
        ({"title": None}, "title"),
    ],
)
def test_a_wrong_registry_names_file_and_table(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    table = entry("https://example.org/a").to_dict() | change
    lines = [f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None and k != "name"]
    path = tmp_path / "registry.toml"
    path.write_text("[tiny]\n" + "\n".join(lines))
    with pytest.raises(InputError, match=rf"registry.toml, \[tiny\].*{message}"):
        read_registry(path)


def test_a_registry_that_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[tiny\n")
    with pytest.raises(InputError, match=r"r.toml: cannot be read"):
        read_registry(tmp_path / "r.toml")


# --- downloads --------------------------------------------------------------------------------------------


def test_a_whole_file(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    result = download(server.url, tmp_path / "a", Wanted(len(BODY), SHA), lambda *now: seen.append(now))
    assert result == (SHA, len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY
    assert names(tmp_path) == ["a"]
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))


def test_a_broken_download_goes_on_within_a_call(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(stop=100_000), serve(stop=20_000), serve()]
    assert download(server.url, tmp_path / "a", backoff=0) == (SHA, len(BODY))
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked.get("range") for asked in server.asked] == [None, "bytes=100000-", "bytes=120000-"]
    assert server.asked[1]["if-range"] == '"1"'


def test_a_broken_download_goes_on_in_the_next_call(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(stop=30_000), serve(stop=0)]
    with pytest.raises(InputError, match=r"ended after 30,000 of .* 5 times; what came is kept"):
        download(server.url, tmp_path / "a", backoff=0)
    assert not (tmp_path / "a").exists()
    server.answers, server.asked = [serve()], []
    assert download(server.url, tmp_path / "a") == (SHA, len(BODY))
    assert server.asked[0]["range"] == "bytes=30000-"
    assert names(tmp_path) == ["a"]


def test_a_part_that_was_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    (tmp_path / "a.part.json").write_text(json.dumps({"url": server.url, "validator": '"1"'}))
    assert download(server.url, tmp_path / "a") == (SHA, len(BODY))
    assert len(server.asked) == 1 and names(tmp_path) == ["a"]


@pytest.mark.parametrize("note", [None, "{", '{"url": "http://other/", "validator": "\\"1\\""}', "[]"])
def test_a_part_of_unknown_origin_is_not_used(server: Server, tmp_path: Path, note: str | None) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    if note is not None:
        (tmp_path / "a.part.json").write_text(note)
    download(server.url, tmp_path / "a")
    assert "range" not in server.asked[0]
    assert (tmp_path / "a").read_bytes() == BODY


def test_another_version_between_the_parts_starts_anew(server: Server, tmp_path: Path) -> None:
    newer = BODY.replace(b"London", b"Dublin")
    server.answers = [serve(stop=50_000), serve(newer, etag='"2"')]
    download(server.url, tmp_path / "a", backoff=0)
    assert (tmp_path / "a").read_bytes() == newer


@pytest.mark.parametrize("ranges", [True, False])
def test_without_ranges_or_etag_it_starts_anew(server: Server, tmp_path: Path, ranges: bool) -> None:
    etag = None if ranges else '"1"'
    server.answers = [serve(etag=etag, ranges=ranges, stop=50_000), serve(etag=etag, ranges=ranges)]
    download(server.url, tmp_path / "a", backoff=0)
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_server_that_joins_wrongly_is_noticed_by_the_checksum(server: Server, tmp_path: Path) -> None:
    # The second answer claims to be the rest of the same version, but is of another text.
    wrong = BODY.replace(b"London", b"Dublin")
    server.answers = [serve(stop=50_000), serve(wrong), serve()]
    download(server.url, tmp_path / "a", Wanted(sha256=SHA), backoff=0)
    assert (tmp_path / "a").read_bytes() == BODY


def test_an_answer_with_another_range_is_refused(server: Server, tmp_path: Path) -> None:
    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
        request.send_header("Content-Length", str(len(BODY) - 7))
        request.end_headers()
        request.wfile.write(BODY[7:])

    server.answers = [serve(stop=50_000), elsewhere, serve()]
    download(server.url, tmp_path / "a", backoff=0)
    assert (tmp_path / "a").read_bytes() == BODY
    # What was left cannot be trusted to be of that file: the third request is for all of it.
    assert [asked.get("range") for asked in server.asked] == [None, "bytes=50000-", None]


def test_a_truncated_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY[:-10])]
    with pytest.raises(WrongFileError, match=rf"has {len(BODY) - 10:,} bytes, {len(BODY):,} were expected"):
        download(server.url, tmp_path / "a", Wanted(size=len(BODY)))
    assert names(tmp_path) == []
    assert len(server.asked) == 1


def test_a_wrong_checksum_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WrongFileError, match=f"SHA-256 is {SHA}, {'0' * 64} was expected; nothing was kept"):
        download(server.url, tmp_path / "a", Wanted(sha256="0" * 64))
    assert names(tmp_path) == []


def test_404_says_where_and_is_not_repeated(server: Server, tmp_path: Path) -> None:
    server.answers = [status(404)]
    with pytest.raises(InputError, match=r"corpus.jsonl: the server answered 404.*--from"):
        download(server.url, tmp_path / "a")
    assert len(server.asked) == 1 and names(tmp_path) == []


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.answers = [status(302, Location="/moved"), serve(stop=10_000), status(301, Location="/m"), serve()]
    download(server.url, tmp_path / "a", backoff=0)
    assert (tmp_path / "a").read_bytes() == BODY
    assert [asked["path"] for asked in server.asked] == ["/corpus.jsonl", "/moved", "/corpus.jsonl", "/m"]
    assert server.asked[3]["range"] == "bytes=10000-"


def test_a_redirect_to_a_local_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers = [status(302, Location="file:///etc/hostname")]
    with pytest.raises(InputError, match="302"):
        download(server.url, tmp_path / "a", backoff=0)
    assert names(tmp_path) == []


def test_503_then_the_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("onegen_el.corpora.download.time.sleep", waits.append)
    server.answers = [status(503), status(429, Retry_After="7"), status(503, Retry_After="999"), serve()]
    download(server.url, tmp_path / "a", backoff=0.5)
    assert waits == [0.5, 7.0, 60.0]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_server_that_does_not_listen(server: Server, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(InputError, match=r"the connection failed .*refused.* 5 times"):
        download(server.url, tmp_path / "a", backoff=0)


def test_only_http(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only http and https"):
        download((tmp_path / "b").as_uri(), tmp_path / "a")


def test_a_full_disk_is_told_and_what_came_is_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, block: Any) -> int:
            if self.tell() > 60_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block)

    real = Path.open

    def opened(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        return Full(path, "a") if mode == "ab" else real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(InputError, match=r"No space left on device.*make room.*ONEGEN_EL_CACHE"):
        download(server.url, tmp_path / "a")
    monkeypatch.undo()
    assert not (tmp_path / "a").exists()
    download(server.url, tmp_path / "a")
    assert "range" in server.asked[-1]
    assert (tmp_path / "a").read_bytes() == BODY


def test_an_empty_file_and_one_of_unknown_length(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(b"")]
    assert download(server.url, tmp_path / "a")[1] == 0

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    server.answers = [endless]
    download(server.url, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"abcde"


# --- fetch ------------------------------------------------------------------------------------------------


def test_a_fetched_corpus_is_here_and_not_fetched_twice(server: Server, cache: Path) -> None:
    tiny = entry(server.url)
    assert located(tiny) is None
    first = fetch(tiny)
    assert (first.path, first.sha256, first.first, first.was_here) == (
        cache / "tiny" / "corpus.jsonl",
        SHA,
        True,
        False,
    )
    assert located(tiny) == first.path
    assert len(list(read_gold(first.path))) == 2000
    assert names(cache / "tiny") == ["corpus.jsonl", "receipt.json"]
    second = fetch(tiny)
    assert second.was_here and not second.first and len(server.asked) == 1


def test_the_first_copy_is_trusted_and_later_ones_compared(server: Server, cache: Path) -> None:
    tiny = entry(server.url)
    fetch(tiny)
    assert not fetch(tiny, again=True).first
    server.answers = [serve(BODY + b"\n", etag='"2"')]
    with pytest.raises(InputError, match=r"SHA-256 is .* was expected.*to accept this, delete .*tiny"):
        fetch(tiny, again=True)
    # The old copy is still here, whole.
    assert fetch(tiny).path.read_bytes() == BODY


def test_a_copy_that_was_changed_is_told(server: Server, cache: Path) -> None:
    path = fetch(entry(server.url)).path
    path.write_bytes(BODY + b"\n")
    with pytest.raises(InputError, match=r"was changed after it was fetched.*delete"):
        fetch(entry(server.url))


def test_a_checksum_of_the_registry_is_checked(server: Server, cache: Path) -> None:
    fetched = fetch(entry(server.url, sha256=SHA, size=len(BODY)))
    assert not fetched.first
    with pytest.raises(InputError, match="another version"):
        fetch(entry(server.url, sha256="0" * 64))
    with pytest.raises(InputError, match="nothing was kept"):
        fetch(entry(server.url, name="other", sha256="0" * 64))
    assert located(entry(server.url, name="other")) is None
    assert names(cache / "other") == []


def test_an_interrupted_fetch_is_not_here(server: Server, cache: Path) -> None:
    server.answers = [serve(stop=100), serve(stop=0)]
    with pytest.raises(InputError):
        fetch(entry(server.url), backoff=0)
    assert located(entry(server.url)) is None


def test_what_a_licence_forbids_comes_with_instructions(cache: Path) -> None:
    with pytest.raises(InputError, match=r"CoNLL-2003.*NIST.*corpora fetch aida-testa --from DIR"):
        fetch(find("aida-testa"))


def test_from_a_folder(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"mine: has no corpus.jsonl"):
        fetch(entry(), source=tmp_path / "mine")
    assert located(entry()) is None
    (tmp_path / "mine" / "corpus.jsonl").write_bytes(BODY)
    assert fetch(entry(), source=tmp_path / "mine").path.read_bytes() == BODY
    (tmp_path / "other" / "tiny").mkdir(parents=True)
    (tmp_path / "other" / "tiny" / "corpus.jsonl").write_bytes(BODY + b"\n")
    with pytest.raises(InputError, match="to accept this, delete"):
        fetch(entry(), source=tmp_path / "other")
    assert fetch(entry()).path.read_bytes() == BODY
    # The cache itself, or the file, may be named.
    assert fetch(entry(), source=cache).path.read_bytes() == BODY
    (cache / "tiny" / "corpus.jsonl").write_bytes(BODY + b"\n")
    with pytest.raises(InputError, match="to accept this, delete"):
        fetch(entry(), source=cache)
    assert fetch(replace(entry(), name="b"), source=tmp_path / "mine" / "corpus.jsonl").first


def test_a_part_is_cut_out(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(BODY)
    part = entry(part=(3, 5))
    path = fetch(part, source=tmp_path).path
    assert path == cache / "tiny" / "tiny.jsonl"
    assert [document.id for document in read_gold(path)] == ["3", "4"]
    for wrong in ((1999, 2001), (2000, 2001)):
        short = entry(name="short", part=wrong)
        with pytest.raises(InputError, match="2001 are needed; is it the whole file"):
            fetch(short, source=tmp_path)
        assert located(short) is None
        assert not (cache / "short" / "short.jsonl").exists()


def test_a_new_version_that_fails_is_not_here(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(BODY)
    fetch(entry(part=(3, 5)), source=tmp_path)
    shorter = BODY[: BODY.index(b"\n") + 1]
    (tmp_path / "corpus.jsonl").write_bytes(shorter)
    newer = entry(part=(3, 5), sha256=hashlib.sha256(shorter).hexdigest())
    with pytest.raises(InputError, match="is it the whole file"):
        fetch(newer, source=tmp_path)
    assert located(newer) is None


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be made.*ONEGEN_EL_CACHE"):
        fetch(entry("http://127.0.0.1:9/a"))


def test_a_folder_that_is_read_only(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    # Who runs the tests as root may write everywhere, so the refusal is made.
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(InputError, match=r"corpus.jsonl: cannot be written .Permission denied"):
        fetch(entry(server.url))


def test_a_damaged_receipt(server: Server, cache: Path) -> None:
    fetch(entry(server.url))
    (cache / "tiny" / "receipt.json").write_text("{")
    with pytest.raises(InputError, match=r"receipt.json: is damaged"):
        fetch(entry(server.url))


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ONEGEN_EL_CACHE", raising=False)
    monkeypatch.setattr("onegen_el.resources.sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "onegen-el" / "corpora"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "onegen-el" / "corpora"
    monkeypatch.setenv("ONEGEN_EL_CACHE", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "corpora"


# --- archives ---------------------------------------------------------------------------------------------


def zipped(path: Path, *members: str | zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, "text")
    return path


def tarred(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for member in members:
            member.size = 4 if member.isreg() else 0
            archive.addfile(member, io.BytesIO(b"text"))
    return path


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    assert unpack(zipped(tmp_path / "a.zip", "x/1.txt", "x/", "2.txt"), tmp_path / "a") == 2
    assert (tmp_path / "a" / "x" / "1.txt").read_text() == "text"
    tarred(tmp_path / "b.tar.gz", tarfile.TarInfo("y/3.txt"))
    # What was there before is replaced.
    assert unpack(tmp_path / "b.tar.gz", tmp_path / "a") == 1
    assert names(tmp_path / "a") == ["y"]
    assert not (tmp_path / "a.part").exists()


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "C:\\evil", "..\\evil", "a/..", "C:evil"]
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "unpacked"
    folder.parent.mkdir()
    for archive in (
        zipped(tmp_path / "a.zip", "good.txt", name),
        tarred(tmp_path / "a.tar", tarfile.TarInfo("good.txt"), tarfile.TarInfo(name)),
    ):
        with pytest.raises(InputError, match="leads out of the folder"):
            unpack(archive, folder)
        assert names(tmp_path / "in") == []
    assert not any(path.name.endswith("evil") for path in tmp_path.rglob("*"))


def test_links_devices_and_twins_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for archive in (
        zipped(tmp_path / "a.zip", link),
        tarred(tmp_path / "a.tar", special("link", tarfile.SYMTYPE)),
        tarred(tmp_path / "b.tar", special("link", tarfile.LNKTYPE)),
        tarred(tmp_path / "c.tar", special("null", tarfile.CHRTYPE)),
    ):
        with pytest.raises(InputError, match="link or device"):
            unpack(archive, tmp_path / "out")
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        pytest.raises(InputError, match="two members have the name"),
    ):
        unpack(zipped(tmp_path / "d.zip", "a", "a"), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()


def test_bombs_and_damage_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", "1", "2")
    monkeypatch.setattr("onegen_el.corpora.unpack.LARGEST", 7)
    with pytest.raises(InputError, match="more than 7 bytes"):
        unpack(archive, tmp_path / "out")
    for name in ("b.zip", "b.tar.gz"):
        (tmp_path / name).write_bytes(archive.read_bytes()[:-30])
        with pytest.raises(InputError, match="is damaged"):
            unpack(tmp_path / name, tmp_path / "out")
    with pytest.raises(InputError, match="has no files"):
        unpack(zipped(tmp_path / "c.zip"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fetched_archive_is_a_folder(cache: Path, tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", "x/1.txt")
    packed = entry(file="a.zip", format="html")
    path = fetch(packed, source=tmp_path).path
    assert path == cache / "tiny" / "unpacked" == located(packed)
    assert (path / "x" / "1.txt").read_text() == "text"
    evil = entry(name="evil", file="b.zip", format="html")
    zipped(tmp_path / "b.zip", "../../1.txt")
    with pytest.raises(InputError, match="leads out"):
        fetch(evil, source=tmp_path)
    assert located(evil) is None


# --- writing and converting gold --------------------------------------------------------------------------

IDS = (
    st.none()
    | st.sampled_from(["Q64", 'enwiki:Café "Z"', "own id"])
    | TEXTS.filter(lambda x: x not in NIL_IDS)
)


@st.composite
def gold(draw: st.DrawFn) -> GoldDocument:
    text = draw(TEXTS)
    mentions = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        negatives = tuple(draw(st.lists(TEXTS, max_size=2)))
        mentions.append(
            GoldMention(start, end, draw(IDS), draw(TEXTS), draw(TEXTS), draw(st.booleans()), negatives)
        )
    scope = None
    if text and draw(st.booleans()):
        start = draw(st.integers(0, len(text) - 1))
        scope = (start, draw(st.integers(start + 1, len(text))))
    return gold_document(draw(TEXTS), text, mentions, scope, draw(TEXTS))


@given(st.lists(gold(), max_size=3), st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, documents: list[GoldDocument], name: str
) -> None:
    assume(not PAIR.search(repr_of(documents)))
    path = tmp_path_factory.mktemp("gold") / name
    assert not write(documents, path, "linked")
    assert list(read_linked(path)) == documents
    assert names(path.parent) == [name]


def repr_of(documents: list[GoldDocument]) -> str:
    strings = [(d.id, d.text, d.genre, *(s for m in d.mentions for s in strings_of(m))) for d in documents]
    return "\n".join(string for row in strings for string in row)


def strings_of(mention: GoldMention) -> tuple[str, ...]:
    return (mention.entity or "", mention.name, mention.kind, *mention.negatives)


def test_two_halves_that_json_would_join_are_refused(tmp_path: Path) -> None:
    document = gold_document("7", "a \ud83d\ude00 b", [GoldMention(5, 6, None)])
    with pytest.raises(InputError, match="'7' has two surrogate halves"):
        write([document], tmp_path / "a.jsonl", "linked")
    assert names(tmp_path) == []


def test_a_failing_reader_leaves_the_old_file(tmp_path: Path) -> None:
    def fails() -> Iterator[GoldDocument]:
        yield gold_document("1", "Ulm", [])
        raise InputError("row 2")

    (tmp_path / "a.jsonl").write_text("old")
    with pytest.raises(InputError, match="row 2"):
        write(fails(), tmp_path / "a.jsonl", "linked")
    assert (tmp_path / "a.jsonl").read_text() == "old" and names(tmp_path) == ["a.jsonl"]
    with pytest.raises(InputError, match="cannot be written"):
        write([], tmp_path / "no" / "a.jsonl", "linked")


SOURCES = {
    "linked": json.dumps(ROW),
    "elevant": '{"id": 1, "text": "Ada moved.", "labels": [{"span": [0, 3], "entity_id": "Q7259"}]}',
    "aida": "-DOCSTART- (1)\nAda\tB\tAda\tAda\thttp://en.wikipedia.org/wiki/Ada\nmoved\n",
    "nif": "@prefix nif: <http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#> .\n"
    "@prefix its: <http://www.w3.org/2005/11/its/rdf#> .\n"
    '<http://e.org/1#char=0,9> a nif:Context ; nif:isString "Ada moved" .\n'
    "<http://e.org/1#char=0,3> nif:referenceContext <http://e.org/1#char=0,9> ; nif:beginIndex 0 ;\n"
    "  nif:endIndex 3 ; its:taIdentRef <http://www.wikidata.org/entity/Q7259> .\n",
    "conllu": "# newdoc id = 1\n1\tAda\t_\tPROPN\t_\t_\t0\t_\t_\tNER=B-PER|NEL=Q7259\n",
    "reference": json.dumps(
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": "<MENTION>Ada</MENTION>[LK][_CONTINUE_] moved.",
                    "positive": [["Q7259"]],
                    "negative": [["Q3"]],
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("format", SOURCES)
def test_formats_are_converted_without_loss(tmp_path: Path, format: str) -> None:
    if format == "nif":
        pytest.importorskip("pyoxigraph")
    source, target = tmp_path / "in", tmp_path / "out.jsonl.gz"
    source.write_text(SOURCES[format], "utf-8")
    counts = convert(source, target, format)
    assert (counts.documents, counts.mentions, counts.linked, counts.nil) == (1, 1, 1, 0)
    assert list(read_gold(target)) == list(read_gold(source, format))
    # RFC 1952: bytes 4 to 8 are the time; without it the same corpus gives the same bytes.
    assert target.read_bytes()[4:8] == bytes(4)


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_bytes(BODY)
    with pytest.raises(InputError, match="is the file that is converted"):
        convert(source, source)
    (tmp_path / "empty.conllu").write_text("")
    with pytest.raises(InputError, match="has no documents"):
        convert(tmp_path / "empty.conllu", tmp_path / "b.jsonl")
    (tmp_path / "bad.jsonl").write_bytes(BODY + b'{"id": 1}\n')
    with pytest.raises(InputError, match="line 2001"):
        convert(tmp_path / "bad.jsonl", tmp_path / "b.jsonl")
    assert not (tmp_path / "b.jsonl").exists()


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def listed(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A registry of two: one to fetch from the server, one that a licence keeps."""
    entries = {
        "tiny": entry(server.url, documents=2000, mentions=2000, counts="ours"),
        "kept": entry(name="kept", licence="not ours"),
    }
    monkeypatch.setattr("onegen_el.corpora.registry._bundled", lambda: entries)
    return server


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(corpora_app, [str(argument) for argument in arguments])


def test_list_fetch_path(listed: Server, cache: Path) -> None:
    assert isinstance(run("path", "tiny").exception, InputError)
    before = run("list").stdout
    assert re.search(r"tiny +2,000 +2,000 +ours +fetch", before)
    assert re.search(r"kept +not ours +--from DIR", before) and str(cache) in before
    result = run("fetch", "tiny", "tiny")
    assert result.exit_code == 0 and result.stdout == f"{cache / 'tiny' / 'corpus.jsonl'}\n"
    assert "this copy is trusted" in result.stderr and SHA in result.stderr
    assert "is here and unchanged" in run("fetch", "tiny").stderr
    assert run("fetch", "tiny", "--again", "-q").output == "" and len(listed.asked) == 2
    assert re.search(r"tiny +2,000 +2,000 +ours +yes", run("list").stdout)
    assert run("path", "tiny").stdout == f"{cache / 'tiny' / 'corpus.jsonl'}\n"


def test_list_as_json(listed: Server, cache: Path) -> None:
    run("fetch", "tiny")
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["tiny"]["path"] == str(cache / "tiny" / "corpus.jsonl") and rows["tiny"]["documents"] == 2000
    assert rows["kept"]["path"] is None and rows["kept"]["how"] == "Ask the library."


def test_one_that_fails_does_not_keep_the_others(listed: Server, cache: Path) -> None:
    result = run("fetch", "kept", "tiny")
    assert result.exit_code == 2 and "Ask the library." in result.stderr
    assert located(find("tiny")) is not None
    # A name that is mistyped is told before anything is fetched.
    assert isinstance(run("fetch", "tiny", "tinny").exception, InputError)


def test_fetch_from_and_convert(listed: Server, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(BODY)
    assert run("fetch", "kept", "--from", tmp_path).exit_code == 0
    path = run("path", "kept").stdout.strip()
    result = run("convert", path, "-o", tmp_path / "out.jsonl.gz", "--format", "linked")
    assert "2,000 documents, 2,000 mentions, 2,000 linked, 0 NIL" in " ".join(result.stdout.split())
    assert gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).count(b"\n") == 2000
