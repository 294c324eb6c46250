"""Gold as the corpus XML of entity-fishing, with the texts in `RawText` beside it.

Knows the elements of docs/data-formats.md, `fishing`. Offsets are code points (entity-fishing itself counts
UTF-16 units). A document's text is named like its id; what no file may be named is percent-encoded, a name
that another document has gets a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from onegen_el.document import TITLE_PREFIX
from onegen_el.errors import InputError
from onegen_el.gold.document import NIL_IDS, GoldDocument, GoldMention
from onegen_el.gold.fishing import TEXTS
from onegen_el.gold.names import QID, titled
from onegen_el.gold.writers.dropped import Dropped, Tally, count_fields, count_scope, entity_of, text_of
from onegen_el.gold.writers.files import whole_file
from onegen_el.unicode import encodable

HELD = frozenset({"names"})
LONGEST = 200  # bytes; file systems take 255
UNSAFE = re.compile(r'^\.|[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ufffe\uffff]')
# What XML 1.0 cannot say, not even as a reference.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_fishing(documents: Iterable[GoldDocument], path: Path) -> Dropped:
    """Writes the XML, plain or `.gz`, and a text a document in `RawText` beside it.

    The texts are put into place one by one, the XML last; where that fails, the texts are taken away again.
    Raises InputError where a file cannot be written, or a text is there already and is another one.
    """
    tally = Tally()
    folder = path.parent / TEXTS
    made = not folder.exists()
    names: set[str] = set()
    added: list[Path] = []
    try:
        with whole_file(path) as stream:
            stream.write(b'<?xml version="1.0" encoding="UTF-8"?>\n<onegen-el.entityAnnotation>\n')
            for document in documents:
                name = _free(_name(encodable(document.id)), names)
                tally["ids"] += name != document.id
                text = text_of(document, tally)
                _put(folder / name, text.encode(), added)
                stream.write("".join(line + "\n" for line in _lines(document, name, text, tally)).encode())
            stream.write(b"</onegen-el.entityAnnotation>\n")
    except BaseException:
        for file in added:
            file.unlink(missing_ok=True)
        if made and folder.exists():
            folder.rmdir()
        raise
    return Dropped(**tally)


def _put(file: Path, content: bytes, added: list[Path]) -> None:
    """Writes a text; one that is there must be the same."""
    try:
        if file.exists():
            if file.read_bytes() != content:
                raise InputError(f"{file}: is there with another text; choose another folder")
            return
        # No document's name begins with a dot.
        partial = file.with_name(".partial")
        file.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.replace(file)
        added.append(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); choose another folder") from error


def _name(identity: str) -> str:
    name = UNSAFE.sub(lambda found: quote(found[0], safe="").replace(".", "%2E"), identity)
    return name.encode()[:LONGEST].decode(errors="ignore") or "document"


def _free(name: str, names: set[str]) -> str:
    free, number = name, 1
    # Some file systems do not tell capitals from small letters.
    while free.casefold() in names:
        number += 1
        free = f"{name}-{number}"
    names.add(free.casefold())
    return free


def _lines(document: GoldDocument, name: str, text: str, tally: Tally) -> Iterator[str]:
    count_fields(document.mentions, tally, HELD)
    count_scope(document, tally)
    tally["genres"] += bool(document.genre)
    yield f"\t<document docName={quoteattr(name)}>"
    for mention in document.mentions:
        yield "\t\t<annotation>"
        surface = text[mention.start : mention.end]
        if not NO_XML.search(surface):
            yield f"\t\t\t<mention>{_escaped(surface)}</mention>"
        yield from (f"\t\t\t{line}" for line in _entity(mention, tally))
        yield f"\t\t\t<offset>{mention.start}</offset>"
        yield f"\t\t\t<length>{mention.end - mention.start}</length>"
        yield "\t\t</annotation>"
    yield "\t</document>"


def _entity(mention: GoldMention, tally: Tally) -> Iterator[str]:
    """Lines that name the entity; only beside a QID is there room for the name."""
    entity, name = entity_of(mention), mention.name
    if entity and QID.fullmatch(entity):
        if name and _holds(name) and name not in NIL_IDS:
            yield f"<wikiName>{_escaped(name)}</wikiName>"
        else:
            tally["names"] += bool(name)
        yield f"<wikidataId>{entity}</wikidataId>"
        return
    tally["names"] += bool(name)
    title = (entity or "").removeprefix(TITLE_PREFIX)
    if entity and title and titled(title) == entity and _holds(title) and title not in NIL_IDS:
        yield f"<wikiName>{_escaped(title)}</wikiName>"
    else:
        tally["entities"] += entity is not None
        yield "<wikiName>NIL</wikiName>"


def _holds(value: str) -> bool:
    return value == value.strip() and not NO_XML.search(value)


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})
