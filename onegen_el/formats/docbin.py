"""A spaCy DocBin of blank English Docs, read back with `DocBin(store_user_data=True).from_disk(...)`.

Documents are held in memory until the writer is closed: a DocBin is written whole.
"""

from __future__ import annotations

from typing import BinaryIO

from spacy.lang.en import English
from spacy.tokens import DocBin

from onegen_el.doc import to_doc
from onegen_el.document import LinkedDocument


class DocBinWriter:
    """Collects documents and writes them when closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._vocab = English().vocab
        self._docs = DocBin(store_user_data=True)

    def write(self, document: LinkedDocument) -> None:
        self._docs.add(to_doc(document, self._vocab))

    def close(self) -> None:
        self._stream.write(self._docs.to_bytes())
        self._stream.flush()


open_writer = DocBinWriter
