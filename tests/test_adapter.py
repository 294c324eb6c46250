"""Adapters: what they train and store, and that a live, a stored and a merged one are the same model."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from typer import Typer
from typer.testing import CliRunner

from onegen_el import resources
from onegen_el.adapter import base_layer, embedded, head_logits, head_rows, is_adapter, load_adapter
from onegen_el.backbone import Backbone, load_backbone
from onegen_el.cli.merge import merge
from onegen_el.decoding import decode, decode_naive
from onegen_el.document import Entity
from onegen_el.errors import ModelError, RecipeError
from onegen_el.knowledge import KnowledgeBase, build_kb
from onegen_el.linker import EntityLinker
from onegen_el.manifest import Calibration, ModelManifest, write_manifest
from onegen_el.merging import merge_adapter
from onegen_el.pretrained import load_pretrained
from onegen_el.training.recipe import Corpus, Data, Lora, Objective, Optimiser, Recipe
from onegen_el.training.start import starting_point
from onegen_el.windows import WindowSettings

KINDS = ("llama", "tied", "qwen2", "bert", "encoder")
TEXT = "Anna Weber opened a bakery in Lisbon. Northwind Airlines left Oslo in March."


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are only slowed by threads, the more so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pretrained_model(kind: str, vocabulary: int, width: int = 32) -> PreTrainedModel:
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
    }
    if kind == "bert":
        return BertLMHeadModel(BertConfig(**sizes, type_vocab_size=6, is_decoder=True))
    if kind == "encoder":
        return BertModel(BertConfig(**sizes))
    sizes |= {"num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": None}
    if kind == "qwen2":  # reserved rows, as its vocabularies have
        return Qwen2ForCausalLM(Qwen2Config(**{**sizes, "vocab_size": vocabulary + 40}))
    return LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=kind == "tied"))


def write_base(kind: str, folder: Path, width: int = 32, seed: int = 0) -> Path:
    """A pretrained model that knows no marks."""
    torch.manual_seed(seed)
    tokenizer = tiny.wordpiece_tokenizer() if kind in ("bert", "encoder") else tiny.bpe_tokenizer()
    pretrained_model(kind, len(tokenizer), width).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def a_recipe(base: Path | str, bert: bool = False, rank: int = 2, **fields: Any) -> Recipe:
    recipe = Recipe(
        name="tiny",
        base=str(base),
        data=Data(corpora=(Corpus("gold.jsonl"),), entities="entities.jsonl"),
        dims=24,
        grammar=tiny.ENCODER if bert else tiny.NATIVE,
        windows=WindowSettings(own=24, before=8, after=8, head=4 if bert else 0),
        objective=Objective(mined=0),
        lora=Lora(rank=rank, alpha=8.0),
        optimiser=Optimiser(bf16=False),
    )
    return replace(recipe, **fields)


def inputs(backbone: Backbone, seed: int = 0) -> dict[str, Tensor]:
    """Two rows of random tokens with marks among them."""
    dice = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 120, (2, 20), generator=dice)
    ids[0, 3], ids[0, 9], ids[1, 5], ids[1, 11] = (
        *backbone.marks.open,
        *backbone.marks.close,
        backbone.marks.query,
        backbone.marks.entity,
    )
    return {
        "ids": ids,
        "positions": torch.arange(20).expand(2, -1),
        "types": torch.randint(0, 6, (2, 20), generator=dice),
        "mask": torch.ones(20, 20, dtype=torch.bool).tril().expand(2, -1, -1),
    }


def outputs(backbone: Backbone) -> dict[str, Tensor]:
    """Everything a backbone computes, marks among the tokens."""
    with torch.inference_mode():
        states = backbone.hidden(**inputs(backbone)).flatten(0, 1)
        choices = torch.tensor([[5, backbone.marks.open[0]], [backbone.marks.query, 9]]).repeat(20, 1)
        return {
            "hidden": states,
            "logits": backbone.logits_of(states, choices),
            "vocabulary": backbone.vocabulary_logits(states),
            "vectors": backbone.vectors(states),
            "entities": torch.from_numpy(backbone.embed_entities(["Oslo: a city", "Leeds", "Anna Weber"])),
        }


def a_loss(backbone: Backbone) -> Tensor:
    """Made up; it depends on every way in which the training uses a backbone."""
    given = inputs(backbone)
    states = backbone.hidden(**given).flatten(0, 1)
    everything = torch.nn.functional.cross_entropy(backbone.vocabulary_logits(states), given["ids"].flatten())
    choices = torch.tensor([[7, backbone.marks.open[0]]]).expand(len(states), -1)
    few = backbone.logits_of(states, choices).log_softmax(-1)[:, 1].mean()
    return everything - few + (backbone.vectors(states)[:, 0] - 0.5).square().mean()


def trained_a_little(backbone: Backbone, steps: int = 4) -> Backbone:
    """Moves every weight that has gradients far enough that none of it can be forgotten unnoticed."""
    moved = [weight for weight in backbone.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(moved, lr=0.02)
    backbone.train()
    for _ in range(steps):
        optimiser.zero_grad()
        a_loss(backbone).backward()
        optimiser.step()
    return backbone.eval()


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {kind: write_base(kind, folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def adapters(bases: dict[str, Path]) -> dict[str, Backbone]:
    """A trained adapter of each kind, live; tests leave them as they are."""
    torch.manual_seed(3)
    return {
        kind: trained_a_little(starting_point(a_recipe(base, kind in ("bert", "encoder"))))
        for kind, base in bases.items()
    }


@pytest.fixture(scope="module")
def folders(adapters: dict[str, Backbone], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where `adapters` are saved."""
    folder = tmp_path_factory.mktemp("adapters")
    for kind, backbone in adapters.items():
        backbone.save(folder / kind)
    return {kind: folder / kind for kind in adapters}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


# --- what is trained ---


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_adapter_the_marks_and_the_projection_only(
    kind: str, bases: dict[str, Path]
) -> None:
    backbone = starting_point(a_recipe(bases[kind], kind in ("bert", "encoder")))
    before = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    trained_a_little(backbone)
    moved = {name for name, weight in backbone.state_dict().items() if not torch.equal(weight, before[name])}
    own = {name for name in before if ".lora_" in name or "trainable_tokens_delta" in name}
    assert moved == own | {"projection.weight"}
    assert not any("base_layer" in name for name in moved)
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name in own if ".lora_" in name}
    linear = {"query", "key", "value", "dense"} if kind in ("bert", "encoder") else {"q_proj", "down_proj"}
    assert linear <= adapted
    assert not any("lm_head.lora" in name or "decoder.lora" in name for name in own)
    # Casing types of what was an encoder are new, and trained; a decoder brings its own.
    assert any("token_type_embeddings" in name for name in own) == (kind == "encoder")
    # Parameters are counted once, although peft's model holds them as well.
    names = [name for name, _ in backbone.named_parameters(remove_duplicate=False)]
    assert all(name.startswith(("lm.", "projection.")) for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_the_marks_are_as_peft_itself_has_them(kind: str, adapters: dict[str, Backbone]) -> None:
    """peft's own embedding layer, which copies the matrix, is the truth for ours, which does not."""
    backbone = copy.deepcopy(adapters[kind])
    ids = inputs(backbone)["ids"]
    layer = backbone.lm.get_input_embeddings()
    states = torch.randn(7, backbone.lm.config.hidden_size)
    head = backbone.lm.get_output_embeddings()
    with torch.inference_mode():
        assert torch.equal(embedded(layer, ids, backbone.trained), layer(ids))
        assert torch.equal(head_rows(head, ids, backbone.trained), head.weight[ids])
        expected = states @ head.weight.T
        if base_layer(head).bias is not None:
            base_layer(head).bias.normal_()
            expected = expected + base_layer(head).bias
        torch.testing.assert_close(head_logits(head, states, backbone.trained), expected)


@pytest.mark.parametrize("kind", ["llama", "tied", "qwen2"])
def test_gradients_are_those_of_peft_itself(kind: str, adapters: dict[str, Backbone]) -> None:
    ours, theirs = copy.deepcopy(adapters[kind]), copy.deepcopy(adapters[kind])
    given = inputs(ours)
    wanted = given["ids"].flatten()
    for backbone in (ours, theirs):
        for weight in backbone.parameters():
            weight.grad = None
    states = ours.hidden(**given).flatten(0, 1)
    torch.nn.functional.cross_entropy(ours.vocabulary_logits(states), wanted).backward()
    assert theirs.adapter is not None
    logits = theirs.adapter(input_ids=given["ids"], use_cache=False).logits.flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, wanted).backward()
    for (name, one), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_gradients_are_the_same_with_gradient_checkpointing(bases: dict[str, Path]) -> None:
    plain = starting_point(a_recipe(bases["llama"])).train()
    saving = copy.deepcopy(plain)
    saving.lm.gradient_checkpointing_enable({"use_reentrant": False})
    again = copy.deepcopy(plain)
    again.lm.gradient_checkpointing_enable({"use_reentrant": True})
    again.lm.enable_input_require_grads()
    for backbone in (plain, saving, again):
        a_loss(backbone).backward()
    wanted = {name: weight.grad for name, weight in plain.named_parameters() if weight.requires_grad}
    for backbone in (saving, again):
        grads = {name: weight.grad for name, weight in backbone.named_parameters() if weight.requires_grad}
        assert grads.keys() == wanted.keys()
        for name, grad in grads.items():
            assert grad is not None
            torch.testing.assert_close(grad, wanted[name])


def test_a_whole_model_of_ours_gets_an_adapter_too(folders: dict[str, Path], tmp_path: Path) -> None:
    merge_adapter(folders["tied"], tmp_path / "whole", torch.float32)
    backbone = starting_point(a_recipe(tmp_path / "whole"))
    assert backbone.adapter is not None
    start = outputs(backbone)
    # Nothing is changed before the first step; logits of the marks are summed in another order.
    for name, value in outputs(load_backbone(tmp_path / "whole", "cpu")).items():
        torch.testing.assert_close(value, start[name], msg=name)
    backbone = trained_a_little(backbone)
    backbone.save(tmp_path / "adapter")
    assert not torch.equal(outputs(backbone)["hidden"], start["hidden"])
    assert_same(outputs(backbone), outputs(load_backbone(tmp_path / "adapter", "cpu")))
    # Another model of the same shape is not that base.
    merge_adapter(folders["llama"], tmp_path / "other", torch.float32)
    with pytest.raises(ModelError, match=r"is not the base that the adapter was trained on.*ONEGEN_EL_BASE"):
        load_backbone(tmp_path / "adapter", "cpu", base=tmp_path / "other")


def test_without_rank_everything_is_trained(bases: dict[str, Path]) -> None:
    backbone = starting_point(a_recipe(bases["llama"], rank=0))
    assert backbone.adapter is None
    assert all(weight.requires_grad for weight in backbone.parameters())


# --- what is stored ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_is_the_same_model_to_the_bit(
    kind: str, adapters: dict[str, Backbone], folders: dict[str, Path]
) -> None:
    live, stored = adapters[kind], load_backbone(folders[kind], "cpu")
    assert stored.adapter is not None
    assert stored.fingerprint == live.fingerprint
    assert_same(outputs(live), outputs(stored))
    assert not any(weight.requires_grad for weight in stored.lm.parameters())
    # Nothing is random, the rows that the adapter's replace included.
    assert_same(stored.state_dict(), load_backbone(folders[kind], "cpu").state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_with_an_adapter_is_that_of_the_naive_loop(kind: str, adapters: dict[str, Backbone]) -> None:
    backbone = adapters[kind]
    windows = [tiny.random_window(backbone, seed) for seed in range(4)]
    fast = decode(backbone, windows, bias=-0.5)
    plain = decode_naive(backbone, windows, bias=-0.5)
    assert [[(m.first, m.last) for m in marked] for marked in fast.mentions] == [
        [(m.first, m.last) for m in marked] for marked in plain.mentions
    ]
    for left, right in zip(fast.states, plain.states, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-3)


def test_an_adapter_saved_again_is_the_same_bytes(
    adapters: dict[str, Backbone], folders: dict[str, Path], tmp_path: Path
) -> None:
    backbone = load_backbone(folders["llama"], "cpu")
    assert backbone.save(tmp_path).fingerprint == adapters["llama"].fingerprint
    for name in ("adapter_model.safetensors", "adapter_config.json", "projection.safetensors"):
        assert (tmp_path / name).read_bytes() == (folders["llama"] / name).read_bytes()


def test_the_fingerprint_tells_weights_projection_and_base_apart(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    backbone = load_backbone(folders["llama"], "cpu")
    assert backbone.adapter is not None
    assert backbone.projection is not None
    seen = {backbone.fingerprint}
    backbone.projection.weight.data += 1
    seen.add(backbone.save(tmp_path / "projection").fingerprint)
    next(p for name, p in backbone.named_parameters() if ".lora_A." in name).data += 1
    seen.add(backbone.save(tmp_path / "weights").fingerprint)
    backbone.adapter.peft_config["default"].base_model_name_or_path = "acme/other"
    seen.add(backbone.save(tmp_path / "name").fingerprint)
    backbone.manifest = replace(backbone.manifest, base_fingerprint="config:0")
    seen.add(backbone.save(tmp_path / "config").fingerprint)
    assert len(seen) == 5


@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_is_below_two_percent_of_its_model(tied: bool, tmp_path: Path) -> None:
    words = {f"w{index}": index for index in range(8000)} | {"[UNK]": 8000}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(tmp_path / "base")
    config = LlamaConfig(
        vocab_size=8001,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        tie_word_embeddings=tied,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    backbone = starting_point(a_recipe(tmp_path / "base"))
    backbone.save(tmp_path / "adapter")
    files = {path.name: path.stat().st_size for path in (tmp_path / "adapter").iterdir()}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "onegen_el.json",
        "projection.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    } == files.keys()
    weights = sum(size for name, size in files.items() if name.endswith(".safetensors"))
    assert weights < 0.02 * (tmp_path / "base" / "model.safetensors").stat().st_size
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert max(len(row) for row in stored.values()) <= 256  # no matrix of the vocabulary
    assert {row.dtype for row in stored.values()} == {torch.float32}
    row = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert row["base_model_name_or_path"] == str(tmp_path / "base")


@pytest.mark.parametrize("kind", ["llama", "tied", "bert"])
def test_weights_are_put_back_into_a_live_model(
    kind: str, adapters: dict[str, Backbone], folders: dict[str, Path], bases: dict[str, Path], tmp_path: Path
) -> None:
    torch.manual_seed(11)
    fresh = starting_point(a_recipe(bases[kind], kind == "bert"))
    assert not torch.equal(outputs(fresh)["hidden"], outputs(adapters[kind])["hidden"])
    fresh.load_weights(folders[kind])
    assert_same(outputs(adapters[kind]), outputs(fresh.eval()))
    assert {name for name, weight in fresh.named_parameters() if weight.requires_grad}  # still to be trained

    whole = starting_point(a_recipe(bases[kind], kind == "bert", rank=0))
    trained = trained_a_little(copy.deepcopy(whole))
    trained.save(tmp_path / "whole", torch.float32)
    whole.load_weights(tmp_path / "whole")
    assert_same(outputs(trained), outputs(whole.eval()))
    with pytest.raises(ModelError, match="holds a whole model, which this model is not"):
        fresh.load_weights(tmp_path / "whole")
    with pytest.raises(ModelError, match="holds an adapter, which this model is not"):
        whole.load_weights(folders[kind])


@pytest.mark.parametrize("rank", [0, 2])
def test_a_gathered_state_is_written_instead_of_the_live_weights(
    rank: int, bases: dict[str, Path], tmp_path: Path
) -> None:
    backbone = starting_point(a_recipe(bases["tied"], rank=rank)).eval()
    state = {name: weight.clone() for name, weight in backbone.state_dict().items()}
    before = outputs(backbone)
    trained_a_little(backbone)
    backbone.save(tmp_path / "model", torch.float32, state)
    assert_same(before, outputs(load_backbone(tmp_path / "model", "cpu")))


def test_a_whole_model_replaces_an_adapter_in_a_folder(bases: dict[str, Path], tmp_path: Path) -> None:
    starting_point(a_recipe(bases["llama"])).save(tmp_path)
    assert is_adapter(tmp_path)
    whole = starting_point(a_recipe(bases["llama"], rank=0)).eval()
    whole.save(tmp_path, torch.float32)
    assert not is_adapter(tmp_path)
    assert_same(outputs(whole), outputs(load_backbone(tmp_path, "cpu")))


def test_an_adapter_in_half_precision_on_a_base_in_bfloat16(
    adapters: dict[str, Backbone], folders: dict[str, Path], tmp_path: Path
) -> None:
    load_backbone(folders["tied"], "cpu").save(tmp_path, torch.float16)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert {row.dtype for row in stored.values()} == {torch.float16}
    backbone = load_backbone(tmp_path, "cpu", torch.bfloat16)
    found, exact = outputs(backbone), outputs(adapters["tied"])
    assert backbone.dtype == found["hidden"].dtype == torch.bfloat16
    assert found["vectors"].dtype == torch.float32
    assert {w.dtype for name, w in backbone.named_parameters() if ".lora_" in name} == {torch.float32}
    assert (found["vectors"] * exact["vectors"]).sum(-1).mean() > 0.98


# --- merging ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_links_as_the_adapter_does(
    kind: str, adapters: dict[str, Backbone], folders: dict[str, Path], tmp_path: Path
) -> None:
    manifest = merge_adapter(folders[kind], tmp_path / "whole", torch.float32)
    whole = load_backbone(tmp_path / "whole", "cpu")
    assert whole.adapter is None
    assert not is_adapter(tmp_path / "whole")
    assert manifest == whole.manifest
    assert manifest.fingerprint == adapters[kind].fingerprint
    assert not [name for name in whole.state_dict() if "lora" in name or "adapter" in name]
    before, after = outputs(adapters[kind]), outputs(whole)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-3, atol=1e-3, msg=name)
    tied = whole.lm.get_input_embeddings().weight is whole.lm.get_output_embeddings().weight
    assert tied == (kind in ("tied", "bert", "encoder"))
    # The knowledge base of the adapter serves the merged model.
    rows = [Entity(id=f"Q{n}", title=title, description="d") for n, title in enumerate(("Oslo", "Lisbon"))]
    build_kb(
        rows,
        adapters[kind].embed_entities,
        tmp_path / "kb",
        fingerprint=adapters[kind].fingerprint,
        model_name="tiny",
    )
    kb = KnowledgeBase.open(tmp_path / "kb")
    links = [
        [
            (m.start, m.end, m.entity)
            for document in EntityLinker(backbone, kb, min_score=-1.0).annotate([("a", TEXT)])
            for m in document.mentions
        ]
        for backbone in (adapters[kind], whole)
    ]
    assert links[0] == links[1]


def test_merging_by_command(adapters: dict[str, Backbone], folders: dict[str, Path], tmp_path: Path) -> None:
    app = Typer()
    app.command()(merge)
    result = CliRunner().invoke(app, [str(folders["llama"]), "-o", str(tmp_path / "whole")])
    assert result.exit_code == 0, result.output
    assert adapters["llama"].fingerprint[:12] in result.output
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    assert {row.dtype for row in stored.values()} == {torch.float16}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole"]


def test_merging_overwrites_nothing(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ModelError, match=r"full: is not an empty folder"):
        merge_adapter(folders["llama"], tmp_path / "full")
    (tmp_path / "out.part").mkdir()
    with pytest.raises(ModelError, match=r"out\.part: left by a merge that was stopped"):
        merge_adapter(folders["llama"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    merge_adapter(folders["llama"], tmp_path / "empty")
    with pytest.raises(ModelError, match="is a whole model, there is nothing to merge"):
        merge_adapter(tmp_path / "empty", tmp_path / "again")

    def fails(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Backbone, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        merge_adapter(folders["llama"], tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
    assert not (tmp_path / "broken.part").exists()


# --- where the base is ---


@pytest.fixture
def moved(folders: dict[str, Path], tmp_path: Path) -> Path:
    """An adapter whose base is not where its configuration says."""
    folder = tmp_path / "adapter"
    shutil.copytree(folders["llama"], folder)
    named(folder, str(tmp_path / "gone"))
    return folder


def named(folder: Path, base: str) -> None:
    path = folder / "adapter_config.json"
    row = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**row, "base_model_name_or_path": base}), "utf-8")


def test_a_base_is_found_by_argument_variable_or_beside_the_adapter(
    moved: Path,
    bases: dict[str, Path],
    adapters: dict[str, Backbone],
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = outputs(adapters["llama"])
    with pytest.raises(
        ModelError, match=r"gone.*is no folder and no hub id; set ONEGEN_EL_BASE.*base=\.\.\."
    ):
        load_backbone(moved, "cpu")
    assert_same(wanted, outputs(load_backbone(moved, "cpu", base=bases["llama"])))
    monkeypatch.setenv("ONEGEN_EL_BASE", str(bases["llama"]))
    assert_same(wanted, outputs(load_backbone(moved, "cpu")))
    monkeypatch.delenv("ONEGEN_EL_BASE")
    shutil.copytree(bases["llama"], tmp_path / "beside")
    named(moved, "../beside")
    assert_same(wanted, outputs(load_backbone(moved, "cpu")))
    named(moved, "beside")
    monkeypatch.chdir(tmp_path)
    assert_same(wanted, outputs(load_backbone(moved, "cpu")))
    with pytest.raises(ModelError, match="is an adapter itself"):
        load_backbone(moved, "cpu", base=folders["llama"])
    with pytest.raises(ModelError, match=r"acme/llama.*ONEGEN_EL_BASE"):
        load_backbone(moved, "cpu", base="acme/llama")


def test_a_wrong_base_is_refused(moved: Path, bases: dict[str, Path], tmp_path: Path) -> None:
    def refused(base: Path) -> str:
        with pytest.raises(ModelError) as caught:
            load_backbone(moved, "cpu", base=base)
        assert "ONEGEN_EL_BASE" in str(caught.value)
        return str(caught.value)

    wide = write_base("llama", tmp_path / "wide", width=48)
    assert "its hidden size is 48, the adapter's 32" in refused(wide)
    torch.manual_seed(0)
    pretrained_model("llama", 200).save_pretrained(tmp_path / "small")
    assert "its vocabulary has 200 tokens" in refused(tmp_path / "small")
    pretrained_model("llama", 900).save_pretrained(tmp_path / "large")
    assert "is not the base that the adapter was trained on" in refused(tmp_path / "large")
    assert "embeddings of another name" in refused(bases["bert"])
    # Without the identity of the base, the shapes of the adapter's own weights still tell.
    manifest = ModelManifest.read(moved)
    write_manifest(moved, replace(manifest, base_fingerprint=""))
    config = LlamaConfig(
        **{**json.loads((bases["llama"] / "config.json").read_text()), "num_hidden_layers": 1}
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "shallow")
    assert "the adapter does not fit this model" in refused(tmp_path / "shallow")


def test_a_damaged_adapter_is_told(moved: Path, bases: dict[str, Path]) -> None:
    (moved / "adapter_model.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: cannot be read"):
        load_backbone(moved, "cpu", base=bases["llama"])
    (moved / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"adapter_config\.json: cannot be read"):
        load_backbone(moved, "cpu", base=bases["llama"])


def test_without_peft_the_error_says_what_to_install(
    folders: dict[str, Path], bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"pip install 'onegen-el\[train\]'"):
        load_backbone(folders["llama"], "cpu")
    with pytest.raises(RecipeError, match=r"pip install 'onegen-el\[train\]'"):
        starting_point(a_recipe(bases["llama"]))


# --- starting points ---


def test_training_goes_on_with_an_adapter(
    adapters: dict[str, Backbone], folders: dict[str, Path], bases: dict[str, Path]
) -> None:
    folder = folders["llama"]
    backbone = starting_point(a_recipe(folder))
    assert_same(outputs(adapters["llama"]), outputs(backbone))
    before = outputs(trained_a_little(backbone))
    assert not torch.equal(before["hidden"], outputs(adapters["llama"])["hidden"])
    moved = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert all(".lora_" in n or "trainable_tokens_delta" in n or n == "projection.weight" for n in moved)
    lora = Lora(rank=2, alpha=8.0)
    for other, message in (
        (replace(lora, rank=4), r"another lora\.rank;"),
        (replace(lora, alpha=9.0), r"another lora\.alpha;"),
        (replace(lora, targets=("q_proj",)), r"another lora\.targets;"),
        (replace(lora, dropout=0.5, rank=4), r"another lora\.rank, lora\.dropout;"),
        (replace(lora, rank=0), r"is an adapter: set lora\.rank"),
    ):
        with pytest.raises(RecipeError, match=message):
            starting_point(a_recipe(folder, lora=other))
    named_targets = Lora(rank=2, alpha=8.0, targets=("q_proj", "v_proj"))
    made = starting_point(a_recipe(bases["llama"], lora=named_targets))
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in made.state_dict() if ".lora_" in name}
    assert layers == {"q_proj", "v_proj"}


def test_targets_that_are_not_there(bases: dict[str, Path]) -> None:
    for target, message in (("nowhere", "nowhere"), ("lm_head", "leave it out of the targets")):
        with pytest.raises(RecipeError, match=message):
            starting_point(a_recipe(bases["llama"], lora=Lora(rank=2, targets=(target,))))


def test_four_bits_need_a_gpu_and_bitsandbytes(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match=r"pip install 'onegen-el\[qlora\]'"):
        starting_point(a_recipe(bases["llama"], lora=Lora(rank=2, quantise="4bit")))


def test_the_bundled_model_as_base(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_adapter(folders["llama"], tmp_path / "model", torch.float32)
    monkeypatch.setattr(resources, "BUNDLED", tmp_path)
    backbone = trained_a_little(starting_point(a_recipe("bundled")))
    backbone.save(tmp_path / "adapter")
    row = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert row["base_model_name_or_path"] == "bundled"
    # What is linked with by default does not change what an adapter was trained on.
    monkeypatch.setenv("ONEGEN_EL_MODEL", str(tmp_path / "adapter"))
    assert_same(outputs(backbone), outputs(load_backbone(None, "cpu")))


@pytest.mark.parametrize("rank", [0, 2])
def test_frozen_entities_keep_calibration_and_the_knowledge_base(
    rank: int, folders: dict[str, Path], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    merge_adapter(folders["llama"], base, torch.float32)
    manifest = replace(ModelManifest.read(base), calibration=Calibration(0.5, 0.25, 0.125))
    write_manifest(base, manifest)
    data = Data(corpora=(Corpus("gold.jsonl"),), kb="kb")
    frozen = Objective(entities="frozen", mined=4)
    first = starting_point(a_recipe(base, rank=rank, data=data, objective=frozen))
    assert first.manifest.calibration == manifest.calibration
    assert first.manifest.entity_fingerprint == first.manifest.serves == manifest.fingerprint
    saved = first.save(tmp_path / "first", torch.float32)
    assert saved.fingerprint != manifest.fingerprint
    assert load_backbone(tmp_path / "first", "cpu").manifest.serves == manifest.fingerprint
    # The knowledge base stays that of the first model, however often training goes on.
    second = starting_point(a_recipe(tmp_path / "first", rank=rank, data=data, objective=frozen))
    assert second.manifest.serves == manifest.fingerprint
    free = starting_point(a_recipe(tmp_path / "first", rank=rank))
    assert free.manifest.calibration == Calibration()
    assert free.manifest.entity_fingerprint == ""


def test_a_pretrained_adapter_is_trainable_when_asked(
    folders: dict[str, Path], bases: dict[str, Path]
) -> None:
    for trainable in (False, True):
        lm = load_pretrained(bases["qwen2"], torch.float32)
        load_adapter(lm, folders["qwen2"], trainable)
        free = {name for name, weight in lm.named_parameters() if weight.requires_grad}
        assert bool(free) == trainable
        assert all(".lora_" in name or "trainable_tokens_delta" in name for name in free)
