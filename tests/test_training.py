"""Training from gold to links: what a document teaches, in which order, with which negatives."""

from __future__ import annotations

import gzip
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from onegen_el.backbone import load_backbone
from onegen_el.cli.main import app
from onegen_el.errors import InputError, RecipeError
from onegen_el.evaluation.scores import Scores, resolver, score
from onegen_el.gold import GoldDocument, GoldMention, read_elevant
from onegen_el.grammar import MarkIds
from onegen_el.knowledge import KnowledgeBase, build_kb, read_entities
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration, ModelManifest
from onegen_el.tokens import SourceTokens
from onegen_el.training import run
from onegen_el.training.catalog import Catalog, read_catalog
from onegen_el.training.examples import Example, Reach, Schedule, collate, document_examples, read_examples
from onegen_el.training.negatives import Pool
from onegen_el.training.recipe import Corpus, Data, Objective, Optimiser, Recipe
from onegen_el.windows import WindowSettings


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are only slowed by threads, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# --- documents as examples, worked out by hand on a tokenizer of words ---

MARKS = MarkIds(open=(90,), close=(91,), query=92, follow_up=(), entity=92, prefix=(80,), suffix=(81,))
CATALOG = Catalog(["Ann: a", "Bob Roy: b"], ["Ann", "Bob Roy"], {"Q1": 0, "Q2": 1, "enwiki:Bob Roy": 1})
TEXT = "Ann met Bob Roy in Rome ."
MENTIONS = (
    GoldMention(0, 3, "Q1"),
    GoldMention(8, 15, "enwiki:Bob Roy"),
    GoldMention(19, 23, None),
)
WIDE = WindowSettings(own=100, before=0, after=0, head=0)


def words(text: str) -> SourceTokens:
    """Token i is the i-th word, its id is i + 1."""
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    count = len(spans)
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return SourceTokens(text, list(range(1, count + 1)), starts, ends, [0] * count, [True] * count)


def examples_of(
    text: str = TEXT,
    mentions: Sequence[GoldMention] = MENTIONS,
    *,
    settings: WindowSettings = WIDE,
    aligned: bool = True,
    scope: tuple[int, int] | None = None,
    **corpus: Any,
) -> tuple[list[Example], Reach]:
    reach = Reach()
    document = GoldDocument("1", text, tuple(mentions), scope or (0, len(text)))
    found = document_examples(
        document,
        Corpus("x", **corpus),
        words,
        settings,
        CATALOG,
        reach,
        aligned,  # type: ignore[arg-type]
    )
    return found, reach


def test_collate_gives_the_decisions_and_queries_worked_out_by_hand() -> None:
    (example,), reach = examples_of()
    assert example.mentions == ((0, 1, 0), (2, 4, 1), (5, 6, -1))
    assert str(reach).startswith("3 mentions, 0 not on token boundaries, 0 nested, 0 across windows, 0 in")
    (short,), _ = examples_of("Well .", ())
    batch = collate([example, short], MARKS, aligned=True, prefix=True)
    assert batch.ids[0].tolist() == [
        *(80, 1, 2, 3, 4, 5, 6, 7, 81),  # the prompt
        *(90, 1, 91, 92, 2, 90, 3, 4, 91, 92, 5, 90, 6, 91, 92, 7),
    ]
    assert batch.ids[1].tolist() == [80, 1, 2, 81, 1, 2] + [0] * 19
    second = 25  # where the second row begins when rows are laid end to end
    decisions = list(
        zip(batch.decide_at.tolist(), batch.choices.tolist(), batch.wrote_tag.tolist(), strict=True)
    )
    assert decisions == [
        (8, [1, 90], 1.0),  # the prompt's last token opens the mention of Ann,
        (10, [2, 91], 1.0),  # which closes after one word
        (12, [2, 90], 0.0),  # the query decides what follows it
        (13, [3, 90], 1.0),
        (15, [4, 91], 0.0),  # Bob goes on with Roy
        (16, [5, 91], 1.0),
        (18, [5, 90], 0.0),
        (19, [6, 90], 1.0),
        (21, [7, 91], 1.0),
        (23, [7, 90], 0.0),  # nothing is decided after the last word
        (second + 3, [1, 90], 0.0),
        (second + 4, [2, 90], 0.0),
    ]
    # Rome has no entity, so its query learns nothing.
    assert (batch.query_at.tolist(), batch.targets.tolist()) == ([12, 18], [0, 1])
    assert batch.next_at.tolist() == [*range(8, 24), second + 3, second + 4]
    assert batch.next_ids.tolist() == [*batch.ids[0, 9:].tolist(), 1, 2]


def test_prompts_see_both_ways_only_under_a_prefix_mask_and_nothing_sees_padding() -> None:
    (example,), _ = examples_of()
    (short,), _ = examples_of("Well .", ())
    for prefix in (True, False):
        mask = collate([example, short], MARKS, aligned=True, prefix=prefix).mask
        for row, (prompt, length) in enumerate(((9, 25), (4, 6))):
            for token in range(25):
                seen = [key <= token or (prefix and token < prompt and key < prompt) for key in range(length)]
                assert mask[row, token].tolist() == seen + [False] * (25 - length)


@pytest.mark.parametrize("generation", ["legal", "full"])
def test_partial_marks_say_nothing_outside_of_mentions(generation: str) -> None:
    (example,), _ = examples_of(marks="partial")
    batch = collate([example], MARKS, aligned=True, prefix=False)
    if generation == "legal":
        assert batch.decide_at.tolist() == [8, 10, 13, 15, 16, 19, 21]
        assert batch.wrote_tag.tolist() == [1, 1, 1, 0, 1, 1, 1]
    else:  # 12, 18 and 23 are the queries, after which another mention might have begun
        assert batch.next_at.tolist() == [at for at in range(8, 24) if at not in (12, 18, 23)]
    assert batch.targets.tolist() == [0, 1]


def test_corpora_without_marks_give_only_queries() -> None:
    (example,), _ = examples_of(marks="none")
    batch = collate([example], MARKS, aligned=True, prefix=False)
    assert (len(batch.decide_at), batch.choices.shape, len(batch.next_at)) == (0, (0, 2), 0)
    assert (batch.query_at.tolist(), batch.targets.tolist()) == ([12, 18], [0, 1])


def test_marks_of_several_tokens_are_told_apart_from_the_text() -> None:
    """Word 4 has the id of the open mark's last token."""
    marks = replace(MARKS, open=(90, 4), close=(90, 91))
    (example,), _ = examples_of(marks="partial")
    batch = collate([example], marks, aligned=True, prefix=False)
    told = [
        (copy, wrote)
        for (copy, _), wrote in zip(batch.choices.tolist(), batch.wrote_tag.tolist(), strict=True)
    ]
    assert told == [(1, 1), (2, 1), (3, 1), (4, 0), (5, 1), (6, 1), (7, 1)]


def test_what_cannot_be_used_is_counted() -> None:
    mentions = [
        GoldMention(0, 15, "Q1"),  # Ann met Bob Roy
        GoldMention(8, 15, "Q2"),  # inside of it
        GoldMention(8, 18, "Q2"),  # across its end
        GoldMention(17, 23, "Q2"),  # begins in the middle of a word
        GoldMention(19, 23, "Q77"),  # not in the table
    ]
    (example,), reach = examples_of(mentions=mentions)
    assert example.mentions == ((0, 4, 0), (5, 6, -1))
    assert reach == Reach(mentions=5, unreachable=1, nested=2, unknown=1)


def test_only_mentions_of_the_kinds_asked_for() -> None:
    mentions = [replace(MENTIONS[0], kind="NAM"), replace(MENTIONS[1], kind="NOM")]
    (example,), reach = examples_of(mentions=mentions, kinds=("NAM",))
    assert (example.mentions, reach.mentions) == (((0, 1, 0),), 1)


def test_a_corpus_without_links_teaches_marks_only() -> None:
    (example,), reach = examples_of(links=False)
    assert example.mentions == ((0, 1, -1), (2, 4, -1), (5, 6, -1))
    assert reach.unknown == 2


EIGHT = "a b c d e f g h"  # two windows of four words
CROSSING = GoldMention(6, 9, "Q1")  # d e
CUT = WindowSettings(own=4, before=0, after=0, head=0)


def test_a_mention_across_windows_is_counted_once() -> None:
    found, reach = examples_of(EIGHT, [GoldMention(0, 1, "Q1"), CROSSING], settings=CUT)
    assert [example.mentions for example in found] == [((0, 1, 0),), ()]
    assert reach == Reach(mentions=2, crossing=1)


def test_without_aligned_positions_the_context_is_copied_with_its_mentions() -> None:
    settings = WindowSettings(own=4, before=2, after=2, head=0)
    found, reach = examples_of(EIGHT, [CROSSING], settings=settings, aligned=False)
    assert [(e.copied, e.mentions) for e in found] == [((0, 6), ((3, 5, 0),)), ((2, 8), ((3, 5, 0),))]
    assert reach.crossing == 0
    batch = collate(found[1:], MARKS, aligned=False, prefix=False)
    assert batch.ids[0].tolist() == [80, *range(3, 9), 81, 3, 90, 4, 5, 91, 92, 6, 7, 8]


@pytest.mark.parametrize("aligned", [True, False])
def test_the_size_is_that_of_the_sequence(aligned: bool) -> None:
    (example,), _ = examples_of(settings=replace(WIDE, before=3), aligned=aligned)
    sequence = collate([example], MARKS, aligned=aligned, prefix=False).ids.shape[1]
    assert 0 <= example.size - sequence <= 4


def test_the_head_of_the_document_moves_the_mentions() -> None:
    settings = WindowSettings(own=4, before=0, after=0, head=2)
    found, _ = examples_of(EIGHT, [GoldMention(10, 11, "Q2")], settings=settings)
    batch = collate(found[1:], MARKS, aligned=True, prefix=False)
    # Shown are a b, then e f g h; f is marked.
    assert batch.ids[0].tolist() == [80, 1, 2, 5, 6, 7, 8, 81, 5, 90, 6, 91, 92, 7, 8]


def test_windows_that_reach_out_of_the_annotated_scope_are_left_out() -> None:
    mentions = [GoldMention(0, 1, "Q1"), GoldMention(8, 9, "Q2")]
    found, reach = examples_of(EIGHT, mentions, settings=CUT, scope=(8, 15))
    assert [example.mentions for example in found] == [((4, 5, 1),)]
    assert reach == Reach(mentions=2, unused=1)
    shown = replace(CUT, before=1)  # copied as well where positions are not aligned
    assert len(examples_of(EIGHT, mentions, settings=shown, scope=(8, 15))[0]) == 1
    assert examples_of(EIGHT, mentions, settings=shown, scope=(8, 15), aligned=False)[0] == []
    shown = replace(CUT, after=1)
    assert len(examples_of(EIGHT, mentions, settings=shown, scope=(0, 7))[0]) == 1
    assert examples_of(EIGHT, mentions, settings=shown, scope=(0, 7), aligned=False)[0] == []


@pytest.mark.parametrize(
    ("corpus", "kept"),
    [
        ({}, [0, 1, 2]),
        ({"min_links": 1}, [0]),
        ({"marks": "partial"}, [0, 1]),
        ({"marks": "none"}, [0]),
    ],
)
def test_windows_that_teach_nothing_are_left_out(corpus: dict[str, Any], kept: list[int]) -> None:
    text = "a b c d e f g h i j k l"
    mentions = [GoldMention(0, 1, "Q1"), GoldMention(8, 9, None)]
    found, _ = examples_of(text, mentions, settings=CUT, **corpus)
    assert [example.window.start // 4 for example in found] == kept


def test_a_corpus_is_read_as_its_recipe_says(tmp_path: Path) -> None:
    rows = [{"id": n, "text": f"{n} Ann .", "genre": "news" if n < 6 else "", "labels": []} for n in range(8)]
    write_jsonl(tmp_path / "x.jsonl", rows)

    def read(**choice: Any) -> list[str]:
        data = Data("", (Corpus("x.jsonl", **choice),), root=str(tmp_path))
        found = read_examples(data, words, WIDE, CATALOG, aligned=True, seed=3)  # type: ignore[arg-type]
        return [example.tokens.text[0] for example in found]

    assert "".join(read()) == "01234567"
    assert "".join(read(half="even")) == "0246"
    assert "".join(read(half="odd", genres=("news",))) == "135"
    assert Counter(read(repeat=3)) == dict.fromkeys("01234567", 3)
    limited = read(limit=3, repeat=2)
    assert sorted(Counter(limited).values()) == [2, 2, 2]
    assert limited == read(limit=3, repeat=2)


# --- the catalogue, the order of steps, the pool ---


def test_catalogue_finds_entities_by_every_name(world: Path) -> None:
    catalog = read_catalog(world / "entities.jsonl", world / "links.tsv", "{title} - {description}")
    assert len(catalog) == 30
    assert catalog.texts[0] == "Mercury (planet) - planet next to the sun"
    assert catalog.titles[0] == "Mercury (planet)"
    assert catalog.find("Q3") == catalog.find("enwiki:Freddie Mercury") == 2
    assert catalog.find("Q31") == catalog.find(None) == -1


def test_catalogue_names_the_table_that_cannot_be_read(world: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("title\tid\nx\tQ1\n")
    for name in ("bad.tsv", "missing.tsv"):
        with pytest.raises(InputError, match=name):
            read_catalog(world / "entities.jsonl", tmp_path / name)
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        read_catalog(tmp_path / "missing.jsonl")


def a_schedule(steps: int, seed: int = 5) -> list[list[int]]:
    """The numbers of the examples of each step; example n has size 10 + n."""
    examples = [SimpleNamespace(number=n, size=10 + n) for n in range(60)]

    def make(chosen: Sequence[Any]) -> Any:
        return SimpleNamespace(as_dict=lambda: [example.number for example in chosen])

    schedule = Schedule(examples, make, steps, step_tokens=100, seed=seed)  # type: ignore[arg-type]
    return [schedule[step] for step in range(len(schedule))]  # type: ignore[misc]


def test_schedule_is_a_function_of_the_seed_and_no_longer_run_changes_it() -> None:
    assert a_schedule(50) == a_schedule(120)[:50]
    assert a_schedule(50) != a_schedule(50, seed=6)


def test_schedule_shows_every_example_once_a_pass() -> None:
    steps, passes = iter(a_schedule(200)), []
    while True:
        shown: list[int] = []
        while len(shown) < 60 and (step := next(steps, None)) is not None:
            shown += step
        if len(shown) < 60:
            break  # the last pass was cut short
        assert sorted(shown) == list(range(60))
        passes.append(shown)
    assert len(passes) > 2
    assert passes[0] != passes[1]


def test_steps_keep_to_their_padded_size() -> None:
    for numbers in a_schedule(100):
        assert len(numbers) == 1 or len(numbers) * (10 + max(numbers)) <= 100


def test_the_pool_gives_the_most_similar_that_are_neither_target_nor_twin() -> None:
    pool = Pool(["a", "b", "twin", "c", "twin", "d"])
    pool.vectors = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0], [0.6, 0.8]])
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # The third target is in the catalogue but not in the pool.
    mined, valid = pool.mine(queries, torch.tensor([0, 2, 5]), 3)
    kept = [
        {i for i, ok in zip(row, keep, strict=True) if ok}
        for row, keep in zip(mined.tolist(), valid.tolist(), strict=True)
    ]
    assert kept[0] <= {1, 2, 4}
    assert 1 in kept[0]
    assert 0 not in kept[0]
    assert kept[1] == {3}
    assert {2, 4} <= kept[2]
    assert pool.mine(queries, torch.tensor([0, 2, 5]), 99)[0].shape == (3, 5)


# --- a world of its own: thirty entities, twelve texts ---

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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with gold, entities, ways to name them, and two untrained bases."""
    folder = tmp_path_factory.mktemp("world")
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
    decoder = LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(bpe), tie_word_embeddings=True))
    for name, model, tokenizer in (("bert", encoder, wordpiece), ("llama", decoder, bpe)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
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


@pytest.fixture(scope="module")
def trained(world: Path) -> Path:
    """A BERT that has learned the twelve texts by heart; its knowledge base is not yet built."""
    run.train(a_recipe(world), world / "trained")
    return world / "trained"


# --- the whole way ---


def test_an_encoder_learns_to_mark_and_link(trained: Path, world: Path) -> None:
    scores = link_and_score(trained, world / "kb", world)
    assert (scores.marks.f1, scores.links.f1, scores.accuracy) == (1, 1, 1)
    assert scores.linked == scores.reachable == 30
    record = json.loads((trained / "training.json").read_text())
    # Two of the texts take two windows.
    assert (record["steps"], record["windows"]) == (220, 13)
    logged = {name for row in record["history"] for name in row}
    assert logged >= {"generation", "retrieval", "mark_errors", "recall_in_batch", "recall_in_pool"}


def test_a_causal_decoder_learns_to_mark_and_link(world: Path) -> None:
    run.train(a_recipe(world, "llama"), world / "decoder")
    scores = link_and_score(world / "decoder", world / "decoder-kb", world)
    assert (scores.marks.f1, scores.links.f1) == (1, 1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        path.name + name: t for path in folder.glob("*.safetensors") for name, t in load_file(path).items()
    }


class Killed(Exception):  # noqa: N818
    pass


def kill_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """The next training stops as if killed when it comes to this step."""
    whole = run.LinkerTrainer._loss

    def loss(self: run.LinkerTrainer, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.state.global_step == step:
            raise Killed
        return whole(self, batch)

    patch.setattr(run.LinkerTrainer, "_loss", loss)


@pytest.fixture
def killed(world: Path, tmp_path: Path) -> tuple[Recipe, Path]:
    """A run that was killed at step 10 while it wrote a checkpoint; its last whole one is that of step 8.

    The pool was embedded at steps 2 and 7, so that of step 8 is older than the weights.
    """
    recipe = a_recipe(world, steps=14, save_steps=4)
    recipe = replace(recipe, objective=replace(recipe.objective, warmup=2, refresh=5))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 10)
        run.train(recipe, tmp_path / "killed")
    (tmp_path / "killed/checkpoints/checkpoint-10").mkdir()
    return recipe, tmp_path / "killed"


def test_a_killed_run_ends_with_the_weights_of_an_unbroken_one(
    killed: tuple[Recipe, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, out = killed
    run.train(recipe, tmp_path / "whole")
    caplog.clear()
    with caplog.at_level(logging.INFO, "onegen_el"):
        resumed = run.train(recipe, out)
    # It did go on: the pool is embedded at step 12 only.
    assert [r.args[0] for r in caplog.records if "pool embedded" in r.msg and r.args] == [12]
    one, other = weights(tmp_path / "whole"), weights(out)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.fingerprint == ModelManifest.read(tmp_path / "whole").fingerprint


def test_a_finished_run_has_nothing_left_to_do(trained: Path, world: Path) -> None:
    before = ModelManifest.read(trained)
    assert run.train(a_recipe(world), trained) == before


def test_checkpoints_of_another_recipe_are_not_taken_up(killed: tuple[Recipe, Path]) -> None:
    recipe, out = killed
    with pytest.raises(RecipeError, match=r"another objective; choose another folder.*checkpoints"):
        run.train(replace(recipe, objective=replace(recipe.objective, temperature=0.1)), out)


def test_a_model_of_ours_is_trained_on(trained: Path, world: Path, tmp_path: Path) -> None:
    longer = WindowSettings(own=40, before=8, after=8, head=4)
    recipe = replace(a_recipe(world, steps=2), name="second", base=str(trained), windows=longer)
    start = run.starting_point(recipe)
    assert torch.equal(
        start.lm.get_input_embeddings().weight, load_backbone(trained).lm.get_input_embeddings().weight
    )
    manifest = run.train(recipe, tmp_path / "out")
    assert (manifest.name, manifest.windows, manifest.dims) == ("second", longer, 24)
    assert manifest.calibration == Calibration()
    for change, message in (
        ({"grammar": replace(recipe.grammar, attention="causal")}, "grammar differs"),
        ({"dims": 0}, "set dims = 24"),
        ({"dims": 12}, "set dims = 24"),
    ):
        with pytest.raises(RecipeError, match=message):
            run.starting_point(replace(recipe, **change))


def broken(world: Path) -> Iterator[tuple[Callable[[Recipe], Recipe], str]]:
    """Changes to a recipe that cannot be run, and what the error must name."""
    yield lambda r: replace(r, base=str(world / "nowhere")), "base .*nowhere"
    yield lambda r: replace(r, base=str(world)), "base "  # a folder without a model
    yield lambda r: replace(r, data=replace(r.data, pool=31)), "data.pool is 31, .* has 30"
    yield lambda r: replace(r, windows=replace(r.windows, own=250)), "windows need 272 positions.* 256"
    nothing = Corpus("gold.jsonl.gz", min_links=99)
    yield lambda r: replace(r, data=replace(r.data, corpora=(nothing,))), "no window can be trained on"


@pytest.mark.parametrize("number", range(5))
def test_what_cannot_be_trained_is_said_before_the_first_step(
    world: Path, tmp_path: Path, number: int
) -> None:
    change, message = list(broken(world))[number]
    with pytest.raises(RecipeError, match=message):
        run.train(change(a_recipe(world)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_windows_may_fill_the_model_to_its_last_position(world: Path) -> None:
    recipe = a_recipe(world)
    full = replace(recipe, windows=WindowSettings(own=175, before=75, after=0, head=4))
    backbone = run.starting_point(full)
    tokens = backbone.tokenize("planet " * 400)
    document = GoldDocument("", tokens.text, (), (0, len(tokens.text)))
    found = document_examples(
        document, Corpus("x"), backbone.tokenize, full.windows, CATALOG, Reach(), aligned=True
    )
    batch = collate(found, backbone.marks, aligned=True, prefix=True)
    assert batch.positions.max() == 255
    assert torch.isfinite(backbone.hidden(batch.ids, batch.positions, batch.types, batch.mask)).all()


def a_trainer(recipe: Recipe, folder: Path) -> run.LinkerTrainer:
    catalog = read_catalog(recipe.data.entities)
    (example,), _ = examples_of()
    schedule = Schedule([example], lambda chosen: None, 1, 10, 0)  # type: ignore[arg-type, return-value]
    return run.LinkerTrainer(recipe, run.starting_point(recipe), catalog, schedule, folder)


def test_a_batch_with_nothing_to_learn_changes_nothing(world: Path, tmp_path: Path) -> None:
    trainer = a_trainer(a_recipe(world), tmp_path)
    (example,), _ = examples_of("a b", ())
    batch = collate([example], trainer.backbone.marks, aligned=True, prefix=True).as_dict()
    for name in ("decide_at", "choices", "wrote_tag", "next_at", "next_ids"):
        batch[name] = batch[name][:0]
    loss = trainer.compute_loss(trainer.backbone, batch)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in trainer.backbone.parameters())


@pytest.mark.parametrize("mined", [False, True])
def test_more_queries_than_entities_in_the_pool(world: Path, tmp_path: Path, mined: bool) -> None:
    recipe = a_recipe(world)
    recipe = replace(
        recipe,
        data=replace(recipe.data, pool=3),
        objective=replace(recipe.objective, retrieval="bpr", warmup=0 if mined else 9),
    )
    trainer = a_trainer(recipe, tmp_path)
    queries = torch.nn.functional.normalize(torch.randn(20, 24, generator=torch.manual_seed(0)), dim=1)
    loss = trainer._retrieval(queries, torch.arange(20))
    assert torch.isfinite(loss)
    assert (trainer.pool.vectors is not None) == mined


def test_a_query_stands_against_fresh_and_stale_negatives_each_once(world: Path, tmp_path: Path) -> None:
    trainer = a_trainer(a_recipe(world), tmp_path)
    trainer.pool = Pool(["a", "b", "c", "b", "d"])  # 1 and 3 are twins
    dice = torch.Generator().manual_seed(4)
    queries, fresh, stale = (
        torch.nn.functional.normalize(torch.randn(count, 6, generator=dice), dim=1) for count in (2, 3, 5)
    )
    stale[:2] = queries.flip(0)  # what must not count twice would weigh most
    trainer.pool.vectors = stale
    targets, wanted = torch.tensor([0, 1]), torch.tensor([0, 1, 3])
    mined = torch.tensor([[1, 2, 4], [2, 3, 0]])
    valid = trainer.pool.differs(mined, targets)
    loss = trainer._contrast(queries, targets, fresh, wanted, mined, valid)
    # The first, of entity 0: fresh 1 and 3; stale 2 and 4, for 1 is fresh already.
    first = torch.stack([fresh[0], fresh[1], fresh[2], stale[2], stale[4]]) @ queries[0]
    # The second, of entity 1: fresh 0 but not the twin; stale 2, for 3 is the twin and 0 is fresh already.
    second = torch.stack([fresh[1], fresh[0], stale[2]]) @ queries[1]
    truth = [-(row / 0.05).softmax(0)[0].log() for row in (first, second)]
    assert loss.item() == pytest.approx(torch.stack(truth).mean().item(), rel=1e-5)


# --- the command line ---


def onegen(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


TOML = """
name = "from-toml"
base = "{world}/bert"
dims = 16
[grammar]
prompt_prefix = "[CLS]"
prompt_suffix = "[SEP]"
positions = "aligned"
attention = "prefix"
token_types = "casing"
[windows]
own = 32
before = 8
after = 8
head = 4
[data]
root = "{world}"
entities = "{world}/entities.jsonl"
pool = 30
[[data.corpora]]
path = "gold.jsonl.gz"
[objective]
mined = 4
warmup = 1
[optimiser]
steps = 99
bf16 = true
"""


def test_train_command(world: Path, tmp_path: Path) -> None:
    level = logging.getLogger("onegen_el").level
    try:
        (tmp_path / "recipe.toml").write_text(TOML.format(world=world.as_posix()))
        arguments = ["train", tmp_path / "recipe.toml", "--set", "optimiser.steps=3", "-o", tmp_path / "out"]
        code, output = onegen(*arguments)
        assert code == 0, output
        manifest = ModelManifest.read(tmp_path / "out")
        assert f"{tmp_path / 'out'}: from-toml ({manifest.fingerprint[:12]})" in output
        assert (load_backbone(tmp_path / "out").dims, manifest.projected) == (16, True)
        assert manifest.training == {"base": "bert", "corpora": ["gold.jsonl.gz"]}
        code, output = onegen(*arguments, "--set", "optimiser.speed=3")
        assert (code, "optimiser: unknown field 'speed'" in output) == (2, True)
    finally:
        logging.getLogger("onegen_el").setLevel(level)


def test_train_command_without_its_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("onegen_el.cli.train.find_spec", lambda name: None)
    code, output = onegen("train", tmp_path / "x.toml", "-o", tmp_path / "out")
    assert (code, "pip install 'onegen-el[train]'" in output) == (2, True)


def test_eval_and_calibrate_commands(trained: Path, world: Path, tmp_path: Path) -> None:
    model, kb = tmp_path / "model", tmp_path / "kb"
    shutil.copytree(trained, model)
    link_and_score(model, kb, world)
    common = ["--model", model, "--kb", kb, "--gold", world / "gold.jsonl.gz"]
    code, output = onegen("eval", *common, "-o", tmp_path / "figures.json")
    assert code == 0, output
    heads, line = (re.split(r"  +", row) for row in output.splitlines())
    assert heads[:4] == ["corpus", "documents", "marks P", "R"]
    assert line[:-1] == ["gold", "12", *["1.000"] * 8]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["model"], figures["entities"]) == ("tiny-bert", 30)
    assert figures["corpora"]["gold"]["mentions"] == 30
    assert figures["corpora"]["gold"]["half"] == "all"
    code, output = onegen("eval", *common, "--half", "odd", "--min-score", "1.1")
    assert re.split(r"  +", output.splitlines()[1])[1:8] == [
        "6",  # every second document
        *["1.000"] * 3,
        *["0.000"] * 3,  # no score is above 1
    ]
    code, output = onegen("calibrate", *common)
    assert code == 0, output
    assert "mean InKB F1 1.000 on 1 corpora" in output
    # Of all that are perfect the smallest threshold.
    assert ModelManifest.read(model).calibration.min_score == 0.3


def test_eval_command_names_the_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, message in (("missing.jsonl", "no such corpus file"), ("empty.jsonl", "has no documents")):
        code, output = onegen("eval", "--gold", tmp_path / name)
        assert code == 2
        assert message in " ".join(output.split())
