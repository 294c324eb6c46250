"""The public knowledge base of the reference (github.com/zjunlp/OneGen): its texts and its vectors."""

from onegen_el.knowledge.reference.embeddings import Embeddings, open_embeddings

__all__ = ["Embeddings", "open_embeddings"]
