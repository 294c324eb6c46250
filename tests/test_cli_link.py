"""`onegen-el link` from the outside: files in, results and exit codes out, with a linker that marks names."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import onegen_el
from onegen_el.cli.main import app
from onegen_el.document import LinkedDocument, Mention
from onegen_el.errors import ModelError

NAME = re.compile(r"\b[A-Z]\w+(?: [A-Z]\w+)*")


class FakeLinker:
    """Marks capitalised words; links those with an even number of letters. `Boom` and `Stop` end the run."""

    def annotate(
        self, documents: Iterable[tuple[str, str]], batch_size: int | None = None
    ) -> Iterator[LinkedDocument]:
        for identity, text in documents:
            if "Boom" in text:
                raise ModelError("the model broke; get another")
            if "Stop" in text:
                raise KeyboardInterrupt
            yield LinkedDocument(identity, text, tuple(map(self.mention, NAME.finditer(text))))

    def mention(self, match: re.Match[str]) -> Mention:
        name = match.group()
        if len(name) % 2:
            return Mention(*match.span(), name, score=0.25)
        return Mention(*match.span(), name, f"Q{len(name)}", name, f"https://kb.org/{len(name)}", "ORG", 0.75)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """The arguments of each `onegen_el.load`, which gives a FakeLinker; the test runs in `tmp_path`."""
    calls: list[tuple[object, ...]] = []

    def load(*arguments: object) -> FakeLinker:
        calls.append(arguments)
        return FakeLinker()

    # Not setattr: asking for the real one would import it.
    monkeypatch.setitem(vars(onegen_el), "load", load)
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("Acme bought Zed.", "utf-8")
    Path("two.txt").write_text("Nothing here.", "utf-8")
    Path("bad.txt").write_bytes(b"caf\xe9")
    return calls


pytestmark = pytest.mark.usefixtures("loads")


def run(*arguments: str, stdin: bytes | str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def ids(jsonl: str) -> list[str]:
    return [json.loads(line)["id"] for line in jsonl.splitlines()]


# --- inputs ----------------------------------------------------------------------------------------------


def test_files_are_linked_in_order_with_exact_offsets() -> None:
    code, out, err = run("link", "two.txt", "one.txt", "--format", "jsonl")
    assert code == 0
    assert ids(out) == ["two.txt", "one.txt"]
    row = json.loads(out.splitlines()[1])
    assert [(m["surface"], m["entity"]) for m in row["mentions"]] == [("Acme", "Q4"), ("Zed", None)]
    assert all(row["text"][m["start"] : m["end"]] == m["surface"] for m in row["mentions"])
    assert re.fullmatch(r"2 documents, 3 mentions, 1 linked, [\d.,]+ documents/s\n", err)


def test_stdin_is_read_without_paths_and_for_a_dash() -> None:
    for paths in ([], ["-"]):
        code, out, _ = run("link", *paths, "--format", "jsonl", stdin="Acme\r\n")
        assert (code, json.loads(out)["id"], json.loads(out)["text"]) == (0, "-", "Acme\r\n")


def test_stdin_twice_is_refused() -> None:
    assert run("link", "-", "-", stdin="x")[0] == 2


def test_directory_says_how_many_texts() -> None:
    Path("texts/deep").mkdir(parents=True)
    Path("texts/b.md").write_text("x")
    Path("texts/deep/a.txt").write_text("x")
    code, out, err = run("link", "texts", "one.txt", "--format", "jsonl")
    assert (code, ids(out)) == (0, ["texts/b.md", "texts/deep/a.txt", "one.txt"])
    assert "texts: 2 texts\n" in err


def test_jsonl_rows_are_documents() -> None:
    Path("rows.jsonl").write_text('{"id": "a", "text": "Acme"}\n{"text": "Zed"}\n')
    code, out, _ = run("link", "rows.jsonl", "--format", "jsonl")
    assert (code, ids(out)) == (0, ["a", "rows.jsonl:2"])


def test_no_document_needs_no_model(loads: list[tuple[object, ...]]) -> None:
    Path("rows.jsonl").write_text("")
    code, out, err = run("link", "rows.jsonl", "--format", "csv")
    assert (code, out.count("\n"), loads) == (0, 1, [])
    assert "0 documents" in err


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bad.txt", "nowhere.txt"])
def test_bad_file_stops_the_run_but_not_what_was_finished(name: str) -> None:
    code, out, err = run("link", "one.txt", name, "two.txt", "--format", "jsonl")
    assert (code, ids(out)) == (2, ["one.txt"])
    assert err.startswith(f"error: {name}: ")
    assert "1 input failed" in err


def test_bad_first_file_is_told_before_the_model_is_loaded(loads: list[tuple[object, ...]]) -> None:
    code, out, err = run("link", "nowhere.txt", "one.txt", "-o", "out.jsonl")
    assert (code, out, loads) == (2, "", [])
    assert err.count("\n") == 1
    assert not list(Path().glob("out*"))


def test_keep_going_reports_each_and_exits_with_1() -> None:
    code, out, err = run(
        "link", "bad.txt", "one.txt", "nowhere.txt", "two.txt", "--format", "jsonl", "--keep-going"
    )
    assert (code, ids(out)) == (1, ["one.txt", "two.txt"])
    assert "error: bad.txt: is not UTF-8 (byte 0xe9 at byte offset 3)" in err
    assert "error: nowhere.txt: no such file" in err
    assert "2 inputs failed" in err


def test_model_error_is_one_line_and_exit_code_2() -> None:
    Path("boom.txt").write_text("Boom")
    code, out, err = run("link", "one.txt", "boom.txt", "--format", "jsonl")
    assert (code, ids(out), err) == (2, ["one.txt"], "error: the model broke; get another\n")


def test_debug_variable_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEGEN_EL_DEBUG", "1")
    Path("boom.txt").write_text("Boom")
    with pytest.raises(ModelError, match="broke"):
        run("link", "boom.txt")


def test_file_name_cannot_smuggle_escapes_into_the_terminal() -> None:
    _, _, err = run("link", "a\x1b[31m[bold]\nb.txt")
    assert err.startswith("error: a␛[31m[bold] b.txt: no such file")


# --- options ---------------------------------------------------------------------------------------------


def test_options_reach_the_linker(loads: list[tuple[object, ...]]) -> None:
    options = "--model m --kb k --device cpu --top-k 3 --min-score 0.5 --batch-size 4 --policy p"
    assert run("link", "one.txt", *options.split())[0] == 0
    assert run("link", "one.txt")[0] == 0
    assert loads == [("m", "k", "cpu", 3, 0.5, 4, "p"), (None, None, "auto", 5, None, 16, None)]


@pytest.mark.parametrize("option", ["--top-k=0", "--batch-size=0", "--format=xml", "--min-score=high"])
def test_impossible_options_are_refused(option: str, loads: list[tuple[object, ...]]) -> None:
    assert run("link", "one.txt", option)[0] == 2
    assert loads == []


def test_quiet_says_only_errors() -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("x")
    assert run("link", "texts", "--quiet")[2] == ""
    err = run("link", "texts", "bad.txt", "-q", "--keep-going")[2]
    assert (err.count("\n"), err.startswith("error: bad.txt")) == (1, True)


def test_colours_are_off_for_a_pipe_and_on_when_asked() -> None:
    plain, colored = (run("link", "one.txt", option)[1] for option in ("--no-color", "--color"))
    assert run("link", "one.txt")[1] == plain
    assert "[Acme → Q4] bought [Zed → NIL]." in plain
    assert "\x1b[" not in plain
    assert "\x1b[" in colored


# --- output files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.ttl", "a.nif", "a.html"])
def test_output_file_is_what_stdout_would_be(name: str) -> None:
    format = {"txt": "text", "ttl": "nif"}.get(name[2:], name[2:])
    stdout = run("link", "one.txt", "two.txt", "--format", format)[1]
    code, out, _ = run("link", "one.txt", "two.txt", "-o", name)
    assert (code, out) == (0, "")
    assert Path(name).read_text("utf-8") == stdout
    assert not Path(name + ".partial").exists()


def test_output_dash_is_stdout() -> None:
    assert run("link", "one.txt", "-o", "-")[1] == run("link", "one.txt")[1]
    assert not Path("-").exists()


def test_spacy_output_reads_back() -> None:
    from spacy.lang.en import English
    from spacy.tokens import DocBin

    assert run("link", "one.txt", "-o", "a.spacy")[0] == 0
    (doc,) = DocBin(store_user_data=True).from_disk("a.spacy").get_docs(English().vocab)
    assert [(ent.text, ent.kb_id_) for ent in doc.ents] == [("Acme", "Q4"), ("Zed", "")]


def test_format_option_wins_over_the_suffix() -> None:
    assert run("link", "one.txt", "-o", "a.txt", "--format", "csv")[0] == 0
    assert Path("a.txt").read_text().startswith("id,start,end")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.json", "no format has the suffix .json"),
        ("nodir/out.csv", "nodir/out.csv: cannot be written (No such file or directory)"),
        ("one.txt", "would be overwritten"),
        (".", "cannot be written (Is a directory)"),
    ],
)
def test_impossible_output_is_told_before_any_work(
    output: str, message: str, loads: list[tuple[object, ...]]
) -> None:
    code, _, err = run("link", "one.txt", "-o", output)
    assert (code, loads) == (2, [])
    assert message in " ".join(re.sub("[│╭╮╰╯─]", "", err).split())
    assert Path("one.txt").read_text() == "Acme bought Zed."


def test_stopped_run_keeps_what_was_finished_as_partial_and_the_old_file_as_it_was() -> None:
    Path("out.jsonl").write_text("old")
    code, _, err = run("link", "one.txt", "bad.txt", "-o", "out.jsonl")
    assert (code, Path("out.jsonl").read_text()) == (2, "old")
    assert ids(Path("out.jsonl.partial").read_text()) == ["one.txt"]
    assert "kept in" in err
    assert "out.jsonl.partial" in err


def test_run_that_finished_nothing_leaves_no_file() -> None:
    Path("boom.txt").write_text("Boom")
    assert run("link", "boom.txt", "-o", "out.html")[0] == 2
    assert not list(Path().glob("out*"))


def test_keep_going_completes_the_file() -> None:
    assert run("link", "bad.txt", "one.txt", "-o", "out.jsonl", "--keep-going")[0] == 1
    assert ids(Path("out.jsonl").read_text()) == ["one.txt"]


def test_interrupt_exits_with_130_and_keeps_a_well_formed_partial() -> None:
    Path("stop.txt").write_text("Stop")
    code, _, err = run("link", "one.txt", "stop.txt", "-o", "out.html")
    assert code == 130
    assert Path("out.html.partial").read_text().endswith("</html>\n")
    assert "interrupted" in err
    assert "1 document," in err


def test_output_through_a_link_keeps_the_link() -> None:
    Path("real.csv").write_text("old")
    Path("alias.csv").symlink_to("real.csv")
    assert run("link", "one.txt", "-o", "alias.csv")[0] == 0
    assert Path("alias.csv").is_symlink()
    assert Path("real.csv").read_text().startswith("id,")


def test_output_to_a_device_writes_to_it() -> None:
    assert run("link", "one.txt", "-o", os.devnull)[0] == 0
    assert Path(os.devnull).is_char_device()


# --- the program -----------------------------------------------------------------------------------------

# The same fake linker in a process of its own; this file is imported there.
PROGRAM = """
import sys
import onegen_el, test_cli_link
onegen_el.load = lambda *arguments: test_cli_link.FakeLinker()
from onegen_el.cli.main import main
main()
"""


def environment(**variables: str) -> dict[str, str]:
    paths = [str(Path(onegen_el.__path__[0]).parent), str(Path(__file__).parent), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables}


def test_help_names_the_commands_and_needs_no_library() -> None:
    module = [sys.executable, "-X", "importtime", "-m", "onegen_el", "--help"]
    result = subprocess.run(module, capture_output=True, text=True, check=True, env=environment())
    assert "Usage: onegen-el" in result.stdout
    assert {"link", "kb", "info"} <= set(re.findall(r"\w+", result.stdout))
    imported = set(re.findall(r"\| +(\w+)$", result.stderr, re.MULTILINE))
    assert "typer" in imported
    assert not imported & {"torch", "spacy", "pandas", "numpy", "usearch", "transformers"}


def test_version_and_info_of_the_program() -> None:
    assert run("--version")[1] == f"onegen-el {onegen_el.__version__}\n"
    code, out, _ = run("info")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert names[:2] + names[-4:] == ["onegen-el", "python", "model", "policies", "kb", "device"]


def test_info_tells_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEGEN_EL_MODEL", "nowhere")
    assert "nowhere: no such model folder" in run("info")[1]


def test_broken_pipe_is_quiet() -> None:
    Path("rows.jsonl").write_text('{"text": "Acme"}\n' * 20_000)
    arguments = [sys.executable, "-c", PROGRAM, "link", "rows.jsonl", "--format", "jsonl"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"id": "rows.jsonl:1"')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_control_c_of_a_real_process() -> None:
    # A shell's background jobs, and their children, begin with SIGINT ignored.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    arguments = [
        sys.executable,
        "-c",
        listening + PROGRAM,
        "link",
        "one.txt",
        "-",
        "--format",
        "jsonl",
        "-o",
        "out.jsonl",
    ]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stderr is not None
        while not (Path("out.jsonl.partial").exists() and Path("out.jsonl.partial").stat().st_size):
            assert process.poll() is None
        # The first document is written; the second waits for stdin. A signal that comes between Python's last
        # look for one and the system's read is seen only after that, so people press again, and so do we.
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
                break
        assert process.returncode == 130
        assert b"interrupted" in process.stderr.read()
    assert ids(Path("out.jsonl.partial").read_text()) == ["one.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_on_a_terminal_respect_no_color(variables: dict[str, str], colored: bool) -> None:
    import pty

    leader, follower = pty.openpty()
    arguments = [sys.executable, "-c", PROGRAM, "link", "one.txt"]
    settings = environment(TERM="xterm", **variables)
    with subprocess.Popen(arguments, stdout=follower, stderr=subprocess.DEVNULL, env=settings) as process:
        os.close(follower)
        shown = b""
        while b"Zed" not in shown.split(b"entity")[-1]:
            shown += os.read(leader, 4096)
        process.wait()
    os.close(leader)
    assert (b"\x1b[" in shown) is colored


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_terminal_as_stdin_is_not_waited_for_and_spacy_is_not_shown_on_one() -> None:
    import pty

    leader, follower = pty.openpty()
    program = [sys.executable, "-c", PROGRAM, "link"]
    for arguments, stdout in (([], subprocess.DEVNULL), (["one.txt", "--format", "spacy"], follower)):
        result = subprocess.run(
            program + arguments,
            stdin=follower,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
        assert result.returncode == 2
        assert b"Usage: onegen-el link" in result.stderr
    os.close(follower)
    os.close(leader)
