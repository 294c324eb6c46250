"""One entity added to a copy of a knowledge base, timed from process start, and found again.

Knows the addition as `onegen-el kb add` does it. Run as a script it is the process that is timed:
importing and loading the model, which takes as long for any knowledge base, is taken out and stated beside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ENTITY = {"id": "bench-1", "title": "Quorvath Ellinbrock", "description": "cartographer of the lake of Threm"}


def measure(kb: Path, model: str | None, cache: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        copy = Path(folder) / "kb"
        shutil.copytree(kb.resolve(), copy, copy_function=_linked)
        command = [sys.executable, __file__, str(copy), repr(time.time()), *([model] if model else [])]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    told: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return told


def _linked(source: str, target: str) -> None:
    """Files of a knowledge base are never written again, so a link is as good as a copy of a gigabyte."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def add(kb: Path, started: float, model: str | None) -> dict[str, Any]:
    """Seconds of the addition without and with the model's import; whether a search finds what was added."""
    from onegen_el.document import Entity
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.knowledge.edit import add_entities

    before = time.time()
    from onegen_el.backbone import load_backbone

    backbone = load_backbone(model, "cpu")
    after = time.time()
    entity = Entity(**ENTITY)
    add_entities(
        kb,
        [entity],
        backbone.embed_entities,
        fingerprint=backbone.fingerprint,
        model_name=backbone.name,
    )
    done = time.time()
    opened = KnowledgeBase.open(kb)
    asked = backbone.embed_entities([f"{entity.title}: {entity.description}"])
    (key,) = opened.search(asked, 1).keys[0]
    return {
        "seconds": done - started - (after - before),
        "model_seconds": after - before,
        "found": opened.entities([int(key)])[0].id == entity.id,
        "entities": len(opened),
    }


if __name__ == "__main__":
    print(json.dumps(add(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)))
