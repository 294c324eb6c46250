"""A training recipe: every choice of a run as documented fields.

Knows what can be chosen and which combinations are impossible; does not train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from onegen_el.errors import RecipeError
from onegen_el.grammar import Grammar
from onegen_el.windows import WindowSettings


@dataclass(frozen=True, slots=True)
class Corpus:
    """One gold file and how far its annotation can be trusted.

    `marks`: "all" - every mention is annotated; "partial" - some are, so an unmarked token says nothing;
    "none" - learn only which entity is meant. `links=False` learns only the marks. `repeat` shows the
    corpus that many times; `half` keeps documents of even or odd position, of those `skip` leaves out the
    first so many, `documents` keeps so many and `limit` so many windows (0 = all), `min_links` only windows
    with so many linked mentions; `kinds` keeps mentions of these kinds (NAM, NOM, PRO; empty = all).
    `format` is one of `onegen_el.gold.FORMATS`, "auto" tells by name and content. `policy` is the marking
    policy, one of the grammar's, that the model is told with these texts.
    """

    path: str
    format: str = "auto"
    marks: Literal["all", "partial", "none"] = "all"
    links: bool = True
    repeat: int = 1
    skip: int = 0
    documents: int = 0
    limit: int = 0
    min_links: int = 0
    kinds: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    half: Literal["", "even", "odd"] = ""
    policy: str = "default"

    def __post_init__(self) -> None:
        where = f"data.corpora, {self.path}"
        _check(where, self, positive=["repeat"], natural=["skip", "documents", "limit", "min_links"])
        if not self.links and (self.marks == "none" or self.min_links):
            raise RecipeError(
                f'{where}: links=false leaves nothing to learn from marks="none" or windows with min_links'
            )


@dataclass(frozen=True, slots=True)
class Data:
    """Where gold and entities come from. Corpus paths are relative to `root`.

    Entities are either a table `entities` (Parquet, JSONL or CSV as for `onegen-el kb build`, best first) or
    those of a knowledge base `kb` (a folder, a hub id, or "bundled"); an optional table `links` has further
    ways to name one (name, id). Hard negatives come from the first `pool` of them (0 = all):
    the knowledge base the model will be used with.

    `replaced` is the share of linked mentions that are shown as another entity of their type, drawn anew each
    time, so that names are learned that no corpus has.
    """

    corpora: tuple[Corpus, ...]
    root: str = "."
    entities: str = ""
    links: str = ""
    kb: str = ""
    pool: int = 0
    replaced: float = 0.0

    def __post_init__(self) -> None:
        _check("data", self, natural=["pool"], share=["replaced"])
        if not self.corpora:
            raise RecipeError("data.corpora is empty; name at least one gold file")
        if bool(self.entities) == bool(self.kb):
            raise RecipeError("data: set entities (a table) or kb (a knowledge base), one of the two")


@dataclass(frozen=True, slots=True)
class Dev:
    """What is measured while training, every `every` steps and at the end, on corpora it does not train on.

    The scores are of the model's own marks given the gold text before them (teacher forcing), and of
    retrieval among the set's own entities and `candidates` others of the pool, so they are cheap and
    comparable between steps; `onegen-el eval` scores the linker as it is used. At most `windows` windows.
    """

    corpora: tuple[Corpus, ...] = ()
    every: int = 200
    windows: int = 200
    candidates: int = 2000

    def __post_init__(self) -> None:
        _check("dev", self, positive=["every", "windows"], natural=["candidates"])


@dataclass(frozen=True, slots=True)
class Objective:
    """L = generation_weight * Lg + retrieval_weight * Lr (OneGen, section 3.3).

    `generation`: "legal" - cross-entropy over the legal continuations only (copy against mark), all that
    constrained decoding needs; "full" - over the vocabulary, as in the paper. `retrieval`: "infonce" with
    `temperature`, or "bpr".

    Negatives of a query: with `in_batch` the entities of the step's other queries; `hard` entities that are
    embedded afresh, so that they learn as well: those the corpus names as negatives first, then mined
    ones; `mined` stale vectors of the pool. The pool is embedded again every `refresh` steps, the first
    time after `warmup` steps; until then hard negatives are drawn at random.

    `positives` queries of a window learn, drawn anew each time it is shown (0 = all; the paper: 1).
    `entities="frozen"` keeps the vectors of `data.kb` as they are and trains only queries and marks: the
    new model then serves that knowledge base, which need not be built again, but cannot make such vectors.
    "kept" does the same and goes on making them: each step embeds `rehearsed` entities, half of them targets
    and half any others, and pulls them to their stored vectors by `rehearsal_weight` times 1 - cosine.
    `chunk` entity texts are held for the backward pass at a time (gradient caching; 0 = all of them):
    memory then does not grow with the number of negatives, for one more forward pass of theirs.
    """

    generation: Literal["legal", "full"] = "legal"
    generation_weight: float = 1.0
    retrieval: Literal["infonce", "bpr"] = "infonce"
    retrieval_weight: float = 0.5
    temperature: float = 0.05
    entities: Literal["trained", "frozen", "kept"] = "trained"
    in_batch: bool = True
    positives: int = 0
    mined: int = 64
    hard: int = 1
    chunk: int = 0
    refresh: int = 500
    warmup: int = 200
    description_dropout: float = 0.3
    rehearsed: int = 96
    rehearsal_weight: float = 4.0

    def __post_init__(self) -> None:
        _check(
            "objective",
            self,
            positive=["temperature", "refresh", "rehearsed"],
            natural=[
                "generation_weight",
                "retrieval_weight",
                "positives",
                "mined",
                "hard",
                "chunk",
                "warmup",
                "rehearsal_weight",
            ],
            share=["description_dropout"],
        )
        if self.retrieval_weight and not (self.in_batch or self.mined or self.hard):
            raise RecipeError("objective: no negatives; set in_batch = true, mined or hard above 0")
        if self.stored and not self.mined:
            raise RecipeError(
                f'objective: entities = "{self.entities}" takes all negatives from mined; set it above 0'
            )

    @property
    def stored(self) -> bool:
        """Whether queries are matched against the stored vectors of a knowledge base."""
        return self.entities != "trained"


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters instead of all weights (`rank` 0 = off): peft's LoRA on the `targets`, the marks
    trained as rows of the embeddings (`trainable_token_indices`). The base stays as it is, in bfloat16 if
    `optimiser.bf16`; `quantise="4bit"` stores it in NF4 (QLoRA; needs bitsandbytes and a GPU).

    `targets` are names of layers ("q_proj"), or the one word "all-linear".
    """

    rank: int = 0
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("all-linear",)
    quantise: Literal["", "4bit"] = ""

    def __post_init__(self) -> None:
        _check("lora", self, positive=["alpha"], natural=["rank"], share=["dropout"])
        if self.quantise and not self.rank:
            raise RecipeError("lora.quantise trains adapters on a quantised base; set lora.rank")
        if not self.targets:
            raise RecipeError('lora.targets is empty; name layers, or ["all-linear"]')


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How weights move: `optimiser` is a name that transformers' TrainingArguments knows, `schedule` too.

    `steps` updates, or `epochs` passes over the windows if that is above 0. `step_tokens` is the padded
    size of the windows of one device at a time; `accumulate` of those make an update. `bf16` computes in
    bfloat16 where that is safe (autocast); weights and losses stay float32.
    `gradient_checkpointing` saves memory for time.
    `workers` processes make the batches ahead (0 = the training process itself): a GPU would wait for it.
    `attention` is transformers' attention implementation, "" for its choice; on CPUs "eager" is faster
    with the masks used here, and attention dropout costs more than all matrix products together.
    """

    optimiser: str = "adamw_torch"
    steps: int = 1000
    epochs: float = 0.0
    learning_rate: float = 3e-4
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    step_tokens: int = 5000
    accumulate: int = 1
    seed: int = 7
    save_steps: int = 200
    log_steps: int = 20
    bf16: bool = True
    gradient_checkpointing: bool = False
    workers: int = 0
    attention: Literal["", "eager", "sdpa"] = ""
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(
            "optimiser",
            self,
            positive=[
                "steps",
                "learning_rate",
                "max_grad_norm",
                "step_tokens",
                "accumulate",
                "save_steps",
                "log_steps",
            ],
            natural=["epochs", "weight_decay", "seed", "workers"],
            share=["warmup_ratio", "attention_dropout"],
        )


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run. `base` is a folder or hub id of the pretrained model, or "bundled"; `dims` the size of
    the vectors (0 = the model's hidden size, then without projection). `report_to` are trackers that
    transformers knows ("tensorboard", "wandb", ...), beside the JSON log that is always written.

    Where `base` is a model of ours, `dims`, `grammar` and `windows` may be left out: they stay as they are.
    """

    name: str
    base: str
    data: Data
    dims: int | None = None
    grammar: Grammar | None = None
    windows: WindowSettings | None = None
    objective: Objective = field(default_factory=Objective)
    lora: Lora = field(default_factory=Lora)
    optimiser: Optimiser = field(default_factory=Optimiser)
    dev: Dev = field(default_factory=Dev)
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dims is not None:
            _check("recipe", self, natural=["dims"])
        if self.objective.stored and not self.data.kb:
            raise RecipeError(
                f'objective.entities = "{self.objective.entities}" needs data.kb, whose vectors are kept'
            )
        if self.grammar is None:
            return
        if self.windows and self.grammar.positions == "sequential" and self.windows.head:
            raise RecipeError('windows.head needs grammar.positions = "aligned"; set windows.head = 0')
        template = self.grammar.entity_template
        try:
            template.format(title="", description="")
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise RecipeError(
                f"grammar.entity_template {template!r}: may use {{title}} and {{description}} ({error!r})"
            ) from error


def _check(
    where: str,
    table: object,
    positive: Sequence[str] = (),
    natural: Sequence[str] = (),
    share: Sequence[str] = (),
) -> None:
    """Raises RecipeError for a field that is not above 0, not 0 or more, or not from 0 to 1."""
    for names, fits, wanted in (
        (positive, lambda value: value > 0, "above 0"),
        (natural, lambda value: value >= 0, "0 or more"),
        (share, lambda value: 0 <= value <= 1, "from 0 to 1"),
    ):
        for name in names:
            value = getattr(table, name)
            if not (math.isfinite(value) and fits(value)):
                raise RecipeError(f"{where}: {name} must be {wanted}, got {value}")
