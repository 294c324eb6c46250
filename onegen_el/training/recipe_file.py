"""Recipe files: TOML read into a `Recipe`, with `key=value` settings over it and every field checked.

Knows the file format and the recipes that come with the package; what the fields mean is `recipe`'s.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from onegen_el.errors import ModelError, RecipeError
from onegen_el.training.recipe import Recipe

BUNDLED = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))


def find_recipe(name: str | Path) -> Path:
    """A recipe's file: a path as it is, or the file of a bundled recipe's name.

    Raises RecipeError where there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    bundled = BUNDLED / f"{name}.toml"
    if bundled.is_file():
        return bundled
    raise RecipeError(f"{name}: no such recipe file, and none of the bundled ({', '.join(recipe_names())})")


def read_recipe(path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Recipe of a TOML file, or of a bundled recipe's name, with `key=value` settings over it.

    A value (`optimiser.steps=50`) is read as JSON where possible, else as a string. Raises RecipeError
    naming the field.
    """
    path = find_recipe(path)
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
    if get_origin(kind) is UnionType:  # X | None, and TOML has no None
        return _build(get_args(kind)[0], value, where)
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
