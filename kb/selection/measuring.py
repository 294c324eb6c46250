"""How precise the merge is, on pairs whose truth is known. Changes nothing.

Each half of the names is judged by a judge that was taught on the other half.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .choosing import gather
from .judgement import matched
from .matching import described_pairs, known_pairs, limits, taught
from .rules import Rules
from .same_titles import redirect_pairs

CHANCES = (0, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1)


def measure_merge(data: Path, rules: Rules) -> dict[str, Any]:
    """Precision and recall of the merge of items and titles, each half of the names judged by the other."""
    material = gather(data, rules)
    material.join(redirect_pairs(material.rows, material.redirects), "")
    table, pairs, found = known_pairs(material.rows, material.counted.kept, material.names, rules)
    fold = pairs["key"].map(lambda key: zlib.crc32(key.encode()) % 2).to_numpy()
    chance = np.zeros(len(pairs))
    for number in (0, 1):
        chance[fold == number] = taught(pairs, found, fold != number)(found[fold == number])
    pairs["chance"], pairs["fold"] = chance, fold
    pairs["same"] = matched(pairs, chance, limits(found, rules))
    items = table["qid"][table["truth"].notna() & table["title"].isna()]
    titles = table["truth"][table["truth"].notna() & table["qid"].isna()]
    both = set(items) & set(titles)

    real, evidence = described_pairs(material.rows, material.names, rules)
    real["chance"] = taught(pairs, found, np.ones(len(pairs), dtype=bool))(evidence)
    real = real[matched(real, real["chance"].to_numpy(), limits(evidence, rules))]
    judged = pairs[pairs["judged"] & pairs["same"]]
    lone = pairs["same"] & ~pairs["judged"] & pairs["by_qid"].map(table["truth"].notna())
    by_chance = judged.groupby(pd.cut(judged["chance"], CHANCES), observed=True)["right"].agg(
        ["mean", "size"]
    )
    sizes = pd.cut(real["chance"], CHANCES).value_counts().reindex(by_chance.index)
    return {
        "pairs with both halves": len(both),
        "merged and judged": len(judged),
        "right": int(judged["right"].sum()),
        "precision": round(float(judged["right"].mean()), 4),
        "precision by half of the names": judged.groupby("fold")["right"].mean().round(4).tolist(),
        "precision weighted to the real pairs": round(
            float((by_chance["mean"] * sizes).sum() / max(1, sizes.sum())), 4
        ),
        "recall of pairs with both halves": round(float(judged["right"].sum() / max(1, len(both))), 4),
        "merged with a title of unknown item": int(lone.sum()),
        "real merges": len(real),
        "precision by probability": {
            str(band): [round(float(mean), 4), int(size), int(sizes[band])]
            for band, mean, size in by_chance.itertuples()
        },
    }
