"""Keep the people and places of some texts, and save the Docs with scores and candidates as a DocBin."""

import tempfile
from pathlib import Path

import spacy
from spacy.tokens import DocBin

TEXTS = ("Angela Merkel met Lionel Messi in Paris.", "Microsoft has an office in Dublin, Ireland.")
WANTED = {"PER", "LOC"}


def main() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("onegen_el")
    kept = DocBin(store_user_data=True)
    for doc in nlp.pipe(TEXTS):
        doc.ents = [ent for ent in doc.ents if ent.label_ in WANTED]
        kept.add(doc)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "linked.spacy"
        kept.to_disk(path)
        again = DocBin(store_user_data=True).from_disk(path)
    for doc in again.get_docs(nlp.vocab):
        for ent in doc.ents:
            print(f"{ent.text:15} {ent.label_:4} {ent.kb_id_:10} {ent._.onegen['score']:.2f}")


if __name__ == "__main__":
    main()
