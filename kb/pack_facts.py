"""Packs a table of chosen entities as the facts that the repository keeps: the same rows, fewer bytes.

Knows columns and compression; which rows and in which order, `select_entities.py` decides.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet

REPEATING = ["types", "description"]  # columns whose values recur: a dictionary shortens them
LEVEL = 15  # of zstd; more takes minutes and saves little


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="entities.parquet of select_entities.py")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the packed table")
    options = parser.parse_args()
    rows = pyarrow.parquet.read_table(options.table).replace_schema_metadata(None)
    part = options.out.with_suffix(".part")
    pyarrow.parquet.write_table(
        rows, part, compression="zstd", compression_level=LEVEL, use_dictionary=REPEATING
    )
    part.replace(options.out)
    print(f"{options.out}: {rows.num_rows:,} entities, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
