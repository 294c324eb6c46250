"""Models and knowledge bases are found where they are meant to be, and the errors say where that was.

The hub is a server on this machine that answers as much of the hub's protocol as a download needs. It is
asked from a process of its own: huggingface_hub reads its settings once, when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from onegen_el import resources
from onegen_el.errors import KBError, ModelError
from onegen_el.resources import MANIFESTS, VARIABLES, Kind, resolve

ROOT = Path(__file__).parent.parent
ERRORS = {"model": ModelError, "kb": KBError}
KINDS: tuple[Kind, ...] = ("model", "kb")


def folder_of(kind: Kind, path: Path) -> Path:
    path.mkdir(parents=True)
    (path / MANIFESTS[kind]).write_text("{}", "utf-8")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_folder_by_path_or_string(kind: Kind, tmp_path: Path) -> None:
    folder = folder_of(kind, tmp_path / "mine")
    assert resolve(folder, kind) == folder
    assert resolve(str(folder), kind) == folder


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = folder_of("model", tmp_path / "runs" / "mine")
    assert resolve("~/runs/mine", "model") == folder


def test_folder_wins_over_a_hub_id_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of("model", tmp_path / "acme" / "linker")
    assert resolve("acme/linker", "model") == Path("acme/linker")


def test_full_is_the_knowledge_base_that_was_built_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONEGEN_EL_DATA", str(tmp_path / "data"))
    with pytest.raises(KBError, match=r"data.kb-full: no such kb folder; build it with `make kb-full`"):
        resolve("full", "kb")
    folder = folder_of("kb", tmp_path / "data" / "kb-full")
    assert resolve("full", "kb") == folder == resources.full_kb()
    monkeypatch.setenv(VARIABLES["kb"], "full")
    assert resolve(None, "kb") == folder
    with pytest.raises(ModelError, match="no such model folder"):
        resolve("full", "model")
    mine = folder_of("kb", tmp_path / "full")
    assert resolve("full", "kb").resolve() == mine  # a folder of that name is what it always was


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["missing", "./missing", "../missing", "a/b/missing", "a/", "/a/b", "a b/c"])
def test_missing_folder_that_cannot_be_a_hub_id(
    kind: Kind, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ERRORS[kind], match=f"no such {kind} folder; give a folder made by `onegen-el"):
        resolve(name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_file_instead_of_a_folder(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / MANIFESTS[kind]
    file.write_text("{}", "utf-8")
    with pytest.raises(ERRORS[kind], match=f"is a file; a {kind} is a folder with {MANIFESTS[kind]} in it"):
        resolve(file, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_folder_of_the_other_kind(kind: Kind, tmp_path: Path) -> None:
    other: Kind = "kb" if kind == "model" else "model"
    folder = folder_of(other, tmp_path / "other")
    with pytest.raises(ERRORS[kind], match=f"{MANIFESTS[kind]} is missing"):
        resolve(folder, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_variable_stands_in_for_a_name_left_out(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, typed = folder_of(kind, tmp_path / "named"), folder_of(kind, tmp_path / "typed")
    monkeypatch.setenv(VARIABLES[kind], str(named))
    assert resolve(None, kind) == named
    assert resolve(typed, kind) == typed


def test_variable_is_named_when_it_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEGEN_EL_KB", str(tmp_path / "gone"))
    with pytest.raises(KBError, match="ONEGEN_EL_KB"):
        resolve(None, "kb")


@pytest.mark.parametrize("kind", KINDS)
def test_bundled_is_the_last_resort(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "BUNDLED", tmp_path)
    with pytest.raises(ERRORS[kind], match="should have come with the package"):
        resolve(None, kind)
    folder = folder_of(kind, tmp_path / kind)
    assert resolve(None, kind) == folder


COMMIT = "0123456789abcdef0123456789abcdef01234567"
WANTED = {
    "onegen_el.json": b'{"name": "acme"}',
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"\x00" * 1000,
    "kb.json": b"{}",
    "entities.sqlite": b"SQLite",
    "vectors.npy": b"NUMPY",
    "index.usearch": b"usearch",
}
UNWANTED = ("modeling.py", "pytorch_model.bin", "optimizer.pt", "db.pkl", "sub/evil.py", "json", "run.sh")


@dataclass
class Hub:
    """A hub with one repository, `acme/linker`, and some names that fail in their own ways."""

    server: ThreadingHTTPServer
    asked: list[str]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def resolved(self, *names: str, home: Path, **variables: str) -> dict[str, str]:
        """What `resolve` gives for each model in a fresh process: `folder X` or `ErrorClass: message`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        result = subprocess.run(
            [sys.executable, "-c", RESOLVER, *names],
            cwd=home,
            env={
                **kept,
                "PYTHONPATH": str(ROOT),
                "HF_HOME": str(home),
                "HF_ENDPOINT": self.endpoint,
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "NO_PROXY": "127.0.0.1",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        answers: dict[str, str] = json.loads(result.stdout.splitlines()[-1])
        return answers


RESOLVER = """
import json, sys
from onegen_el.errors import OnegenError
from onegen_el.resources import resolve

answers = {}
for name in sys.argv[1:]:
    try:
        answers[name] = f"folder {resolve(name, 'model')}"
    except OnegenError as error:
        answers[name] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            repository = "/".join(path.removeprefix("/api/models").split("/")[1:3])
            if repository == "acme/gated":
                self.answer(b"", HTTPStatus.FORBIDDEN, {"X-Error-Code": "GatedRepo"})
            elif repository == "acme/hangs-up":
                self.close_connection = True
            elif repository not in ("acme/linker", "acme/empty"):
                self.answer(b"", HTTPStatus.NOT_FOUND, {"X-Error-Code": "RepoNotFound"})
            elif path.startswith(f"/api/models/{repository}/revision/"):
                self.revision(repository, path.rpartition("/")[2])
            elif path.startswith(f"/api/models/{repository}/tree/{COMMIT}"):
                self.answer(json.dumps([] if repository == "acme/empty" else tree()).encode())
            else:
                self.file(path.removeprefix(f"/{repository}/resolve/{COMMIT}/"))

        do_HEAD = do_GET

        def revision(self, repository: str, revision: str) -> None:
            if revision not in ("main", "v1"):
                self.answer(b"", HTTPStatus.NOT_FOUND, {"X-Error-Code": "RevisionNotFound"})
                return
            info = {"_id": "1", "id": repository, "modelId": repository, "sha": COMMIT, "private": False}
            siblings = (
                [] if repository == "acme/empty" else [{"rfilename": entry["path"]} for entry in tree()]
            )
            self.answer(
                json.dumps({**info, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings}).encode()
            )

        def file(self, name: str) -> None:
            body = WANTED.get(name, b"import os")
            self.answer(body, headers={"ETag": f'"{oid(body)}"', "X-Repo-Commit": COMMIT})

        def answer(
            self, body: bytes, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the requests out of the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Hub(server, asked)
        server.shutdown()
        thread.join()


def here(name: str) -> str:
    return f"ModelError: {name}: there is no such folder here"


def oid(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


def tree() -> list[dict[str, object]]:
    files = {**WANTED, **dict.fromkeys(UNWANTED, b"import os")}
    return [
        {"type": "file", "path": path, "size": len(body), "oid": oid(body)} for path, body in files.items()
    ]


def test_hub_download_brings_data_and_never_code(hub: Hub, tmp_path: Path) -> None:
    answer = hub.resolved("acme/linker", "acme/linker@v1", home=tmp_path)
    assert answer["acme/linker"] == answer["acme/linker@v1"]
    folder = Path(answer["acme/linker"].removeprefix("folder "))
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == WANTED
    fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
    assert fetched == set(WANTED)

    again = hub.resolved("acme/linker", home=tmp_path, HF_HUB_OFFLINE="1")
    assert again["acme/linker"] == answer["acme/linker"], "what was fetched once is there without the hub"


def test_hub_refusals_are_clear(hub: Hub, tmp_path: Path) -> None:
    names = ["acme/missing", "acme/gated", "acme/linker@v9", "acme/empty", "acme/hangs-up", "acme/no--id"]
    answer = hub.resolved(*names, home=tmp_path)
    expected = {
        "acme/missing": f"{here('acme/missing')}, and no such repository on {hub.endpoint}",
        "acme/gated": "ModelError: acme/gated: access must be granted",
        "acme/empty": f"ModelError: acme/empty: {hub.endpoint}/acme/empty is not a onegen-el model",
        "acme/linker@v9": "ModelError: acme/linker@v9: the repository has no revision 'v9'",
        "acme/hangs-up": f"ModelError: acme/hangs-up: cannot be fetched from {hub.endpoint}",
        "acme/no--id": f"{here('acme/no--id')}, and it cannot be a hub id",
    }
    assert {name: answer[name][: len(start)] for name, start in expected.items()} == expected


def test_hub_that_cannot_be_reached(hub: Hub, tmp_path: Path) -> None:
    # Port 9 of this machine (discard) is closed, so the connection is refused at once.
    answer = hub.resolved("acme/linker", home=tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    expected = f"{here('acme/linker')}, and http://127.0.0.1:9 cannot be asked for it"
    assert answer["acme/linker"].startswith(expected)
    offline = hub.resolved("acme/linker", home=tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in offline["acme/linker"]
