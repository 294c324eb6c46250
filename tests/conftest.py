"""What every test runs under: no hub, none of the runner's own settings, no time limits."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# Read when huggingface_hub and tokenizers are imported, so set before any test module is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for variable in ("ONEGEN_EL_MODEL", "ONEGEN_EL_KB", "ONEGEN_EL_BASE", "ONEGEN_EL_DEBUG"):
    os.environ.pop(variable, None)

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# The first example of a property may load a tokenizer; CI repeats the same examples on every run.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_finish() -> None:
    """What libraries made when they were imported stays: no collection has to look at all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tests/world.py`: read-only for tests."""
    from world import make_world

    return make_world(tmp_path_factory.mktemp("world"))
