"""Link the text column of a DataFrame in batches; the result has one row a mention."""

import pandas as pd

import onegen_el


def link_column(texts: pd.Series, batch_size: int = 16) -> pd.DataFrame:
    """Mentions of all texts; indexed like the texts, so `frame.join(...)` adds them to the frame."""
    linker = onegen_el.load()
    rows = [
        {"row": row, "surface": ent.text, "entity": ent.kb_id_ or None, "title": ent._.onegen["title"]}
        for row, doc in zip(texts.index, linker.pipe(texts, batch_size=batch_size), strict=True)
        for ent in doc.ents
    ]
    return pd.DataFrame(rows, columns=["row", "surface", "entity", "title"]).set_index("row")


def main() -> None:
    reviews = pd.DataFrame(
        {
            "stars": [5, 2, 4],
            "text": [
                "We flew Lufthansa from Munich to Boston, on time both ways.",
                "The app lost my tickets for Real Madrid against Liverpool.",
                "Nothing to complain about.",
            ],
        }
    )
    mentions = link_column(reviews["text"])
    print(reviews.join(mentions, how="left").to_string())


if __name__ == "__main__":
    main()
