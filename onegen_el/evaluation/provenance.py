"""What a figure was measured with: the machine, and which content a knowledge base had.

Knows this computer and manifests; knows no figure.
"""

from __future__ import annotations

import hashlib
import os
import platform
from datetime import datetime
from pathlib import Path

from onegen_el.knowledge.manifest import KBManifest


def machine() -> str:
    """System, kind of processor and how many of them; no names of hosts."""
    kind = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
        kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), kind)
    except OSError:
        pass
    count = os.cpu_count() or 1
    return f"{platform.system()}, {kind}, {count:,} CPU{'' if count == 1 else 's'}"


def now() -> str:
    """The time, ISO 8601 with its zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def kb_checksum(manifest: KBManifest) -> str:
    """SHA-256 (hexadecimal) over the checksums of a knowledge base's files: the same for the same content."""
    lines = sorted(f"{name} {record.sha256}\n" for name, record in manifest.files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
