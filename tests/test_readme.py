"""The README is true: its Python runs, its commands exit with 0, its make targets exist.

A block that cannot be run here has `<!-- not run: reason -->` on the line above it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onegen_el.cli.main import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
NOT_RUN = re.compile(r"<!-- not run: .*\S.* -->")
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>\w*)\s*$")
SHELLS = ("console", "bash")
SHOWN = "news.txt"  # the example that commands name; of the others the beginning is enough


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is the number of its first line within the file."""

    language: str
    line: int
    text: str
    run: bool


@dataclass(frozen=True)
class Command:
    """What one types at a prompt, continued lines joined."""

    line: int
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def needs_shell(self) -> bool:
        return self.words[0] != "onegen-el" or not set("|<>&;$").isdisjoint(self.text)


def blocks(markdown: str) -> list[Block]:
    """Fenced blocks in order. Raises ValueError for one that is never closed."""
    found: list[Block] = []
    opening: re.Match[str] | None = None
    start, above = 0, ""
    lines = markdown.splitlines()
    for number, line in enumerate(lines, start=1):
        if opening is None:
            opening = FENCE.match(line)
            if opening:
                start = number + 1
            elif line.strip():
                above = line
        elif line.strip() == opening["fence"]:
            text = "\n".join(lines[start - 1 : number - 1])
            found.append(Block(opening["language"], start, text, NOT_RUN.fullmatch(above.strip()) is None))
            opening, above = None, ""
    if opening is not None:
        raise ValueError(f"the block at line {start - 1} is never closed")
    return found


def commands(block: Block) -> list[Command]:
    """Commands of a shell block: the lines after `$ `, or without any such line all but the comments."""
    lines = block.text.replace("\\\n", "\\\0").split("\n")
    prompted = any(line.startswith("$ ") for line in lines)
    found, number = [], block.line
    for line in lines:
        if line.startswith("$ ") or (not prompted and line.strip() and not line.startswith("#")):
            found.append(Command(number, line.removeprefix("$ ").replace("\\\0", "").strip()))
        number += 1 + line.count("\0")
    return found


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))


BLOCKS = blocks(README.read_text("utf-8")) if README.is_file() else []
PYTHON = [block for block in BLOCKS if block.language == "python" and block.run]
TYPED = [command for block in BLOCKS if block.language in SHELLS for command in commands(block)]
RUN = [
    command
    for block in BLOCKS
    if block.language in SHELLS and block.run
    for command in commands(block)
    if command.words[0] != "make"
]


def where(item: Block | Command) -> str:
    return f"line-{item.line}"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with copies of what the README's commands read, shared by them all in the README's order.

    Texts are shortened: what the model makes of whole ones is looked at in `test_bundled.py`.
    """
    folder = tmp_path_factory.mktemp("readme")
    for name in ("examples", "corpora"):
        shutil.copytree(ROOT / name, folder / name)
    for path in (folder / "examples").glob("*.txt"):
        if path.name != SHOWN:
            path.write_text(path.read_text("utf-8")[:300], "utf-8")
    for path in folder.glob("corpora/sample/*.jsonl"):
        rows = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(rows[:2]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which `onegen-el` and `python` are those of the interpreter that runs the tests."""
    bin_folder = tmp_path_factory.mktemp("bin")
    for name, arguments in (("onegen-el", " -m onegen_el"), ("python", "")):
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n', "utf-8")
        script.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(bin_folder), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    """Names that the Python blocks share: what one defines, the next may use."""
    return {"__name__": "readme"}


def test_readme_shows_python_commands_and_the_two_targets() -> None:
    assert PYTHON, "README.md has no Python block that is run"
    assert RUN, "README.md has no command that is run"
    typed = {command.text for command in TYPED}
    assert {"make link", "make test"} <= typed


@pytest.mark.parametrize("command", [c for c in TYPED if c.words[0] == "make"], ids=where)
def test_make_target_exists(command: Command) -> None:
    targets = [word for word in command.words[1:] if "=" not in word]
    assert set(targets) <= make_targets()


@pytest.mark.parametrize("command", RUN, ids=where)
def test_command_runs(
    command: Command, workplace: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.needs_shell:
        code, said = shell(command, workplace, environment)
    else:  # in this process, where the libraries are loaded already: starting costs more than most commands
        monkeypatch.chdir(workplace)
        result = CliRunner().invoke(app, command.words[1:])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        code, said = result.exit_code, result.output
    if code:
        pytest.fail(f"$ {command.text}\n{said[-6000:]}\nexit code {code}", pytrace=False)


def shell(command: Command, workplace: Path, environment: dict[str, str]) -> tuple[int, str]:
    """The exit code of the command in a shell of its own, and what it wrote."""
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command.text],
        cwd=workplace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("block", PYTHON, ids=where)
def test_python_runs(
    block: Block, workplace: Path, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    padding = "\n" * (block.line - 1)  # so that a traceback names the README's own lines
    exec(compile(padding + block.text, str(README), "exec"), namespace)


SAMPLE = """\
Text.
```python
x = 1
```

<!-- not run: takes an hour -->
```console
$ onegen-el train recipe.toml
```
```console
$ onegen-el link a.txt \\
    --top-k 3
what it printed
$ make test ARGS=-x
```
```bash
# a comment
cat a.txt | onegen-el link -
```
````text
```python
not_code
```
````
"""


def test_blocks_of_a_sample() -> None:
    found = blocks(SAMPLE)
    assert [(block.language, block.line, block.run) for block in found] == [
        ("python", 3, True),
        ("console", 8, False),
        ("console", 11, True),
        ("bash", 17, True),
        ("text", 21, True),
    ]


def test_commands_of_a_sample() -> None:
    found = [command for block in blocks(SAMPLE) if block.language in SHELLS for command in commands(block)]
    assert [(command.line, " ".join(command.words)) for command in found] == [
        (8, "onegen-el train recipe.toml"),
        (11, "onegen-el link a.txt --top-k 3"),
        (14, "make test ARGS=-x"),
        (18, "cat a.txt | onegen-el link -"),
    ]


def test_an_unclosed_block_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2 is never closed"):
        blocks("a\n```python\nx = 1\n")
