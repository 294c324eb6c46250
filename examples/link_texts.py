"""Link two short texts with the bundled model and print what was found."""

import onegen_el

TEXTS = (
    "Paris is the capital of France, and Paris is also a city in Texas.",
    "Jordan left the Chicago Bulls; Jordan shares the Dead Sea with Israel.",
)


def main() -> None:
    linker = onegen_el.load()
    for text in TEXTS:
        doc = linker(text)
        print(text)
        for ent in doc.ents:
            entity = ent.kb_id_ or "not linked"
            print(f"  {ent.start_char:3}-{ent.end_char:<3} {ent.text:15} {entity:12} {ent._.onegen['title']}")


if __name__ == "__main__":
    main()
