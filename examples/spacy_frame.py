"""Link a column of a DataFrame in a spaCy pipeline; the row's index travels along as the context."""

import pandas as pd
import spacy


def main() -> None:
    notes = pd.DataFrame(
        {"text": ["Lufthansa flies from Munich to Boston.", "Angela Merkel spoke in Paris.", "No names."]},
        index=["n1", "n2", "n3"],
    )
    nlp = spacy.blank("en")
    nlp.add_pipe("onegen_el")
    pairs = zip(notes["text"], notes.index, strict=True)
    rows = [
        {"note": note, "text": ent.text, "type": ent.label_, "entity": ent.kb_id_}
        for doc, note in nlp.pipe(pairs, as_tuples=True)
        for ent in doc.ents
    ]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
