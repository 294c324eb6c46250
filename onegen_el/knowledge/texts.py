"""The text of an entity, whose vector stands for it.

Knows templates; knows neither models nor knowledge bases.
"""

from __future__ import annotations

from dataclasses import replace

from onegen_el.document import COARSE_TYPES, Entity
from onegen_el.errors import KBError

TEMPLATE = "{title}: {description}"
COARSE_WORDS = {"PER": "person", "ORG": "organization", "LOC": "place"}


def entity_text(entity: Entity, template: str = TEMPLATE) -> str:
    """The text whose vector stands for the entity, on one line.

    Without a description its finer types stand in for it, else a word for its coarse type; with nothing
    to say the text is the title alone. Raises KBError for a template with other fields than
    {title} and {description}.
    """
    finer = ", ".join(kind for kind in entity.types if kind not in COARSE_TYPES)
    description = entity.description.strip() or finer or COARSE_WORDS.get(entity.label, "")
    try:
        text = template.format(title=entity.title, description=description)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise KBError(
            f"template {template!r} cannot be filled in ({error!r}); it may use {{title}} and {{description}}"
        ) from error
    return " ".join((text if description else entity.title).split())


def embedded_aliases(entity: Entity, most: int) -> list[str]:
    """The first `most` aliases that are neither the title nor one another."""
    names = dict.fromkeys(alias for alias in entity.aliases if alias.strip() and alias != entity.title)
    return list(names)[:most]


def alias_texts(entity: Entity, most: int, template: str = TEMPLATE) -> list[str]:
    """Texts of the entity under its aliases, as `entity_text` with the alias for a title."""
    return [entity_text(replace(entity, title=alias), template) for alias in embedded_aliases(entity, most)]
