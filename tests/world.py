"""A small world to train in: thirty entities of which several share a name, twenty texts, untrained bases.

Knows how a recipe for it looks and how what was trained on it is scored.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from onegen_el.backbone import load_backbone
from onegen_el.evaluation.scores import Scores, resolver, score
from onegen_el.gold import read_elevant
from onegen_el.knowledge import KnowledgeBase, build_kb, read_entities
from onegen_el.linker import EntityLinker
from onegen_el.training.recipe import Corpus, Data, Objective, Optimiser, Recipe
from onegen_el.windows import WindowSettings

# Several share a name, so that the text around a mention must decide.
ENTITIES = """
Mercury (planet)|planet next to the sun
Mercury (metal)|metal that is liquid
Freddie Mercury|singer of a rock band
Jordan (country)|kingdom in the desert
Michael Jordan|basketball player
Amazon (river)|river through the forest
Amazon (company)|online shop
Paris|capital of France
Paris (hero)|prince of Troy
Paris, Texas|town in Texas
Georgia (state)|state with peaches
Georgia (country)|country with old vineyards
Apple (company)|maker of telephones
Apple Records|label of the Beatles
Phoenix (city)|city in the desert
Phoenix (bird)|bird that rises from ashes
Turkey|country on two continents
Chelsea F.C.|football club
Chelsea (district)|district with galleries
Cambridge|town with a university
Cambridge, Massachusetts|city on the Charles River
Jaguar (car)|maker of cars
Bath (city)|city with Roman baths
Reading (town)|town on the Thames
Nice (city)|city on the coast
Orange (company)|telephone network
Oxford|rival of Cambridge
Troy|city of a long war
France|republic in Europe
Texas|large state
""".strip().splitlines()

# [surface|title]; every line is a document, and the eleventh is longer than a window.
TEXTS = """
The planet [Mercury|Mercury (planet)] is small and hot.
A drop of [mercury|Mercury (metal)] is liquid metal.
On the stage [Mercury|Freddie Mercury] sang with the rock band.
The king of [Jordan|Jordan (country)] rode through the desert while [Jordan|Michael Jordan] played basketball.
Boats go up the [Amazon|Amazon (river)]; the shop [Amazon|Amazon (company)] sells boats.
[Paris|Paris], the capital of [France|France], is not [Paris|Paris, Texas] in [Texas|Texas].
Prince [Paris|Paris (hero)] brought war to [Troy|Troy].
Peaches grow in [Georgia|Georgia (state)] and wine grows in [Georgia|Georgia (country)], north \
of [Turkey|Turkey].
The telephones of [Apple|Apple (company)] use [Orange|Orange (company)]; the Beatles \
had [Apple|Apple Records].
Nobody was named here, and nothing happened at all.
At the coast of [Nice|Nice (city)] it rained. A [Jaguar|Jaguar (car)] drove from [Bath|Bath (city)] to \
[Reading|Reading (town)] and on to [Oxford|Oxford], which rowed against [Cambridge|Cambridge] and won \
by far. The boat from [Cambridge|Cambridge, Massachusetts] on the Charles River was late, as every year.
[Chelsea|Chelsea F.C.] lost the match, and the galleries of [Chelsea|Chelsea (district)] closed. \
In [Phoenix|Phoenix (city)] it was dry; the [phoenix|Phoenix (bird)] rose from its ashes.
Telephones of [Orange|Orange (company)] ring in [Nice|Nice (city)] and in [Bath|Bath (city)].
The singer [Freddie Mercury|Freddie Mercury] bought a [Jaguar|Jaguar (car)].
[Texas|Texas] is large, and so is the planet [Mercury|Mercury (planet)] when one stands on it.
No club won, no king came, and the river was low.
[Michael Jordan|Michael Jordan] never played for [Chelsea|Chelsea F.C.], the football club.
Students row in [Cambridge|Cambridge] and in [Oxford|Oxford], but never in [Reading|Reading (town)].
[Turkey|Turkey] and [Georgia|Georgia (country)] sell wine to [France|France].
The Beatles left [Apple|Apple Records] before [Amazon|Amazon (company)] was a shop.
""".strip().splitlines()


def entity_rows() -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(ENTITIES, start=1):
        title, description = line.split("|")
        rows.append(
            {
                "id": f"Q{number}",
                "title": title,
                "description": description,
                "wikipedia_title": title,
                "prior": float(len(ENTITIES) - number),
            }
        )
    return rows


def gold_row(number: int, marked: str, known: dict[str, str]) -> dict[str, Any]:
    """An ELEVANT row of a text with `[surface|title]`; odd documents name entities by page, not by item."""
    text, labels = "", []
    for index, part in enumerate(marked.replace("]", "[").split("[")):
        if index % 2 == 0:
            text += part
            continue
        surface, title = part.split("|")
        entity = f"enwiki:{title}" if number % 2 else known[title]
        labels.append({"span": [len(text), len(text) + len(surface)], "entity_id": entity})
        text += surface
    return {"id": str(number), "text": text, "labels": labels}


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def make_world(folder: Path) -> Path:
    """Fills a folder with gold, entities, ways to name them, and untrained bases; `world` is its fixture."""
    entities = entity_rows()
    gold = [gold_row(n, text, {e["title"]: e["id"] for e in entities}) for n, text in enumerate(TEXTS)]
    write_jsonl(folder / "gold.jsonl.gz", gold)
    write_jsonl(folder / "entities.jsonl", entities)
    names = "".join(f"enwiki:{e['title']}\t{e['id']}\n" for e in entities)
    (folder / "links.tsv").write_text("name\tid\n" + names)
    with pytest.MonkeyPatch.context() as patch:
        words = [row["text"] for row in gold] + [f"{e['title']}: {e['description']}" for e in entities]
        patch.setattr(tiny, "SENTENCES", words)
        wordpiece, bpe = tiny.wordpiece_tokenizer(), tiny.bpe_tokenizer()
    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "initializer_range": 0.1,
    }
    encoder = BertModel(BertConfig(**sizes, vocab_size=len(wordpiece), hidden_dropout_prob=0.05))
    encoder.save_pretrained(folder / "bert")
    wordpiece.save_pretrained(folder / "bert")
    grouped = {**sizes, "num_key_value_heads": 2}
    # Qwen's vocabulary is padded with reserved rows, so there is room for the marks.
    decoders: dict[str, PreTrainedModel] = {
        "llama": LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(bpe), tie_word_embeddings=True)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**grouped, vocab_size=len(bpe) + 40, tie_word_embeddings=True)),
        "mistral": MistralForCausalLM(MistralConfig(**grouped, vocab_size=len(bpe))),
    }
    for name, decoder in decoders.items():
        decoder.save_pretrained(folder / name)
        bpe.save_pretrained(folder / name)
    return folder


def a_recipe(world: Path, base: str = "bert", **optimiser: Any) -> Recipe:
    """Bidirectional prompts, aligned positions, legal loss for BERT; plain causal, full loss for Llama."""
    bert = base == "bert"
    return Recipe(
        name=f"tiny-{base}",
        base=str(world / base),
        data=Data(
            entities=str(world / "entities.jsonl"),
            links=str(world / "links.tsv"),
            root=str(world),
            corpora=(Corpus("gold.jsonl.gz"),),
            pool=len(ENTITIES),
        ),
        dims=24,
        grammar=tiny.ENCODER if bert else tiny.NATIVE,
        windows=WindowSettings(own=32, before=8, after=8, head=4 if bert else 0),
        objective=Objective(
            generation="legal" if bert else "full",
            retrieval_weight=1.0,
            mined=8,
            hard=2,
            warmup=6,
            refresh=15,
            description_dropout=0.1,
        ),
        optimiser=Optimiser(
            **{
                "steps": 220,
                "learning_rate": 4e-3,
                "step_tokens": 700,
                "bf16": False,
                "save_steps": 1000,
                "log_steps": 10,
                **optimiser,
            }
        ),
    )


def link_and_score(model: Path, kb: Path, world: Path) -> Scores:
    """Builds the knowledge base `kb` with the model and scores it on the gold it was trained on."""
    backbone = load_backbone(model, device="cpu")
    build_kb(
        read_entities(world / "entities.jsonl"),
        backbone.embed_entities,
        kb,
        fingerprint=backbone.fingerprint,
        model_name=backbone.name,
        template=backbone.grammar.entity_template,
    )
    linker = EntityLinker(backbone, KnowledgeBase.open(kb))
    gold = list(read_elevant(world / "gold.jsonl.gz"))
    linked = linker.annotate((document.id, document.text) for document in gold)
    return score(zip(gold, linked, strict=True), resolver(linker.kb))
