"""The public knowledge base of the reference (github.com/zjunlp/OneGen): its texts and its vectors."""

from onegen_el.knowledge.reference.embeddings import Embeddings, open_embeddings
from onegen_el.knowledge.reference.importing import SHORT, LeftOut, distinct, import_reference

__all__ = ["SHORT", "Embeddings", "LeftOut", "distinct", "import_reference", "open_embeddings"]
