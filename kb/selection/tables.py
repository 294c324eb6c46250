"""Columns of the tables as plain values. Knows nothing of what they mean."""

from __future__ import annotations

import pandas as pd


def as_lists(column: pd.Series) -> list[list[str]]:
    """A column of arrays or nulls as plain lists."""
    return [
        [] if value is None or value is pd.NA or isinstance(value, float) else list(value) for value in column
    ]
