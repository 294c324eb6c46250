"""A training recipe: every choice of a run as documented fields, read from a TOML file.

Knows what can be chosen and which combinations are impossible; does not train.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from onegen_el.errors import ModelError, RecipeError
from onegen_el.grammar import Grammar
from onegen_el.windows import WindowSettings


@dataclass(frozen=True, slots=True)
class Corpus:
    """One gold file and how far its annotation can be trusted.

    `marks`: "all" - every mention is annotated; "partial" - some are, so an unmarked token says nothing;
    "none" - learn only which entity is meant. `links=False` learns only the marks. `repeat` shows the
    corpus that many times; `limit` keeps that many windows (0 = all), `min_links` only windows with so
    many linked mentions; `kinds` keeps mentions of these kinds (NAM, NOM, PRO; empty = all); `half`
    keeps documents of even or odd position.
    """

    path: str
    marks: Literal["all", "partial", "none"] = "all"
    links: bool = True
    repeat: int = 1
    limit: int = 0
    min_links: int = 0
    kinds: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    half: Literal["", "even", "odd"] = ""

    def __post_init__(self) -> None:
        where = f"data.corpora, {self.path}"
        _check(where, self, positive=["repeat"], natural=["limit", "min_links"])
        if not self.links and (self.marks == "none" or self.min_links):
            raise RecipeError(
                f'{where}: links=false leaves nothing to learn from marks="none" or windows with min_links'
            )


@dataclass(frozen=True, slots=True)
class Data:
    """Where gold and entities come from. Corpus paths are relative to `root`.

    `entities` is a table of entities (Parquet, JSONL or CSV as for `onegen-el kb build`), best first;
    `links` an optional table of further ways to name one (name, id); hard negatives come from the first
    `pool` entities: the knowledge base the model will ship with.
    """

    entities: str
    corpora: tuple[Corpus, ...]
    root: str = "."
    links: str = ""
    pool: int = 0

    def __post_init__(self) -> None:
        _check("data", self, natural=["pool"])
        if not self.corpora:
            raise RecipeError("data.corpora is empty; name at least one gold file")


@dataclass(frozen=True, slots=True)
class Objective:
    """L = generation_weight * Lg + retrieval_weight * Lr (OneGen, section 3.3).

    `generation`: "legal" - cross-entropy over the legal continuations only (copy against mark), all that
    constrained decoding needs; "full" - over the vocabulary, as in the paper. `retrieval`: "infonce" with
    `temperature`, or "bpr". `mined` stale vectors of the pool stand beside every query as negatives, and
    `hard` of them per query are embedded afresh so that they learn as well. `refresh` is the number of
    steps after which the pool is embedded again, the first time after `warmup` steps.
    """

    generation: Literal["legal", "full"] = "legal"
    generation_weight: float = 1.0
    retrieval: Literal["infonce", "bpr"] = "infonce"
    retrieval_weight: float = 0.5
    temperature: float = 0.05
    mined: int = 64
    hard: int = 1
    refresh: int = 500
    warmup: int = 200
    description_dropout: float = 0.3

    def __post_init__(self) -> None:
        _check(
            "objective",
            self,
            positive=["temperature", "refresh"],
            natural=["generation_weight", "retrieval_weight", "mined", "hard", "warmup"],
            share=["description_dropout"],
        )
        if self.retrieval == "bpr" and self.mined == 0:
            raise RecipeError("objective: bpr needs negatives; set mined above 0")
        if self.mined < self.hard:
            raise RecipeError("objective: hard negatives are chosen among the mined ones; set mined >= hard")


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW with linear warm-up and decay; `step_tokens` is the padded size of one step's windows.

    `bf16` computes in bfloat16 where that is safe (autocast); weights and losses stay float32.
    `attention` is transformers' attention implementation, "" for its choice; on CPUs "eager" is faster
    with the masks used here, and attention dropout costs more than all matrix products together.
    """

    steps: int = 1000
    learning_rate: float = 3e-4
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    step_tokens: int = 5000
    seed: int = 7
    save_steps: int = 200
    log_steps: int = 20
    bf16: bool = True
    attention: Literal["", "eager", "sdpa"] = ""
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(
            "optimiser",
            self,
            positive=["steps", "learning_rate", "step_tokens", "save_steps", "log_steps"],
            natural=["weight_decay", "seed"],
            share=["warmup_ratio", "attention_dropout"],
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run. `base` is a folder or hub id of the pretrained model; `dims` the size of the vectors
    (0 = the model's hidden size, then without projection)."""

    name: str
    base: str
    data: Data
    dims: int = 128
    grammar: Grammar = field(default_factory=Grammar)
    windows: WindowSettings = field(default_factory=WindowSettings)
    objective: Objective = field(default_factory=Objective)
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        _check("recipe", self, natural=["dims"])
        if self.objective.mined and not self.data.pool:
            raise RecipeError("objective.mined needs data.pool, the number of entities negatives come from")
        if self.grammar.positions == "sequential" and self.windows.head:
            raise RecipeError('windows.head needs grammar.positions = "aligned"; set windows.head = 0')
        template = self.grammar.entity_template
        try:
            template.format(title="", description="")
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise RecipeError(
                f"grammar.entity_template {template!r}: may use {{title}} and {{description}} ({error!r})"
            ) from error


def _check(
    where: str,
    table: object,
    positive: Sequence[str] = (),
    natural: Sequence[str] = (),
    share: Sequence[str] = (),
) -> None:
    """Raises RecipeError for a field that is not above 0, not 0 or more, or not from 0 to 1."""
    for names, fits, wanted in (
        (positive, lambda value: value > 0, "above 0"),
        (natural, lambda value: value >= 0, "0 or more"),
        (share, lambda value: 0 <= value <= 1, "from 0 to 1"),
    ):
        for name in names:
            value = getattr(table, name)
            if not (math.isfinite(value) and fits(value)):
                raise RecipeError(f"{where}: {name} must be {wanted}, got {value}")


def read_recipe(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Recipe of a TOML file with `key=value` settings put over it (`optimiser.steps=50`).

    A value is read as JSON where possible, else as a string. Raises RecipeError naming the field.
    """
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RecipeError(f"{path}: not a TOML file in UTF-8 ({error})") from error
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set {setting}: expected key=value")
        _put(tree, key.strip().split("."), _value(value.strip()))
    recipe: Recipe = _build(Recipe, tree, str(path))
    return recipe


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {'.'.join(keys)}: {key} is not a table")
    tree[keys[-1]] = value


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`, checked field by field; `where` names the place for the error."""
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, dict):
            raise RecipeError(f"{where}: expected a table, got {value!r}")
        hints = get_type_hints(kind)
        names = {f.name for f in fields(kind)}
        needed = {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}
        unknown, missing = sorted(set(value) - names), sorted(needed - set(value))
        if unknown:
            raise RecipeError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(names))}")
        if missing:
            raise RecipeError(f"{where}: field {missing[0]!r} is missing")
        try:
            return kind(**{key: _build(hints[key], item, f"{where}, {key}") for key, item in value.items()})
        except ModelError as error:
            raise RecipeError(f"{where}: {error}") from error
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise RecipeError(f"{where}: {value!r} is not one of {get_args(kind)}")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise RecipeError(f"{where}: expected a list, got {value!r}")
        return tuple(_build(get_args(kind)[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise RecipeError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value
