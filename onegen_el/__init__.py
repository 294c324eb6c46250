"""One-pass entity linking: one language model marks mentions and retrieves their entities as it writes.

    >>> import onegen_el
    >>> linker = onegen_el.load()
    >>> doc = linker("Larry Page and Sergey Brin founded Google at Stanford.")
    >>> [(ent.text, ent.kb_id_) for ent in doc.ents]

Names are handed on when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onegen_el.backbone import Backbone
    from onegen_el.document import Candidate, Entity, LinkedDocument, Mention
    from onegen_el.errors import InputError, KBError, ModelError, OnegenError, RecipeError
    from onegen_el.knowledge import KnowledgeBase
    from onegen_el.linker import EntityLinker, load

__version__ = "0.1.0"
__all__ = [
    "Backbone",
    "Candidate",
    "Entity",
    "EntityLinker",
    "InputError",
    "KBError",
    "KnowledgeBase",
    "LinkedDocument",
    "Mention",
    "ModelError",
    "OnegenError",
    "RecipeError",
    "load",
]

_HOMES = {
    **dict.fromkeys(("InputError", "KBError", "ModelError", "OnegenError", "RecipeError"), "errors"),
    **dict.fromkeys(("Candidate", "Entity", "LinkedDocument", "Mention"), "document"),
    "Backbone": "backbone",
    "KnowledgeBase": "knowledge",
    "EntityLinker": "linker",
    "load": "linker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
