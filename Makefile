# Everything one does in a checkout, one word each: `make` lists them.
# The first call makes a virtual environment and installs the package into it; that alone needs a package index.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
DATA ?= ../shared/data
DIST ?= dist
ARGS ?=

# The bundled model starts from these weights (folder or hub id; empty: what the recipe says).
BASE ?=
# The bundled knowledge base is the first so many of the chosen entities, their vectors shortened to so many numbers.
ENTITIES ?= 400000
DIMS ?= 64
# `make eval` measures on these development corpora of $(DATA)/corpora; thresholds are set on their documents
# of even position, and OKE's documents of even position are trained on: quality is quoted on the odd half.
GOLD ?= aida-conll-dev oke-2015-train tweeki-gold
CALIBRATION ?= aida-conll-dev tweeki-gold
HALF ?= odd
# `make eval-gerbil` takes files of $(DATA)/corpora, where they are, for corpora of the registry: NAME=FILE.
STAND_INS ?= aida-testa=aida-conll-dev oke-2015-train=oke-2015-train wiki-fair=wiki-fair-v2-nontest \
  tweeki=tweeki-gold
REPORT ?= runs/eval
# `make eval-dev` and `make model-card` take these (folders, hub ids, or `full` for the full knowledge base);
# empty: what is bundled. SETS are some of the development sets, empty for all. RECIPES made the weights, in their order.
MODEL ?=
KB ?=
SETS ?=
DEV ?= runs/dev$(if $(filter full,$(KB)),-full)
RECIPES ?= $(RECIPE) docs/recipes/wide-2.toml docs/recipes/wide-3.toml
# `make kb-full` builds here; empty: where `--kb full` looks.
KB_FULL ?=
# `make bench-kb` measures this one; what its build printed with --json is looked for in $(BENCH_KB)-built.json.
BENCH_KB ?= runs/kb-full

BIN := $(VENV)/bin
READY := $(VENV)/.onegen-el-ready
BUNDLED := onegen_el/bundled
gold = $(foreach name,$(1),--gold $(DATA)/corpora/$(name).jsonl.gz)
samples = $(foreach file,$(wildcard corpora/sample/*.jsonl),--gold sample-$(basename $(notdir $(file)))=$(file))
stand_in = $(DATA)/corpora/$(lastword $(subst =, ,$(1))).jsonl.gz
stand_ins = $(foreach pair,$(STAND_INS),$(if $(wildcard $(call stand_in,$(pair))),$(pair)))
chosen = $(if $(MODEL),--model $(MODEL)) $(if $(KB),--kb $(KB))
registry = $(shell sed -n 's/^\[\([a-z0-9-]*\)\]$$/\1/p' onegen_el/corpora/registry.toml)
others = $(filter-out $(foreach pair,$(stand_ins),$(firstword $(subst =, ,$(pair)))),$(registry))
# Recipe, starting point (empty: the recipe's own), folder in runs/.
train = $(BIN)/onegen-el train $(1) --set data.root=$(DATA) $(if $(2),--set base=$(2)) --out runs/$(3)
RECIPE := onegen_el/training/recipes/mini.toml
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv link test lint fix model kb-bundled calibrate eval eval-gerbil eval-dev model-card facts kb-full bench bench-kb wheel clean

help: ## list these targets
	@echo "Usage: make TARGET   (VENV=$(VENV), DATA=$(DATA))"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(READY) ## make the virtual environment and install the package with its tools
	@echo "$(VENV) is ready."

# PyTorch goes first, in a step of its own, so that nothing after it can choose another build.
$(VENV)/.torch-ready:
	@$(PYTHON) -c 'import sys; sys.exit("onegen-el needs Python 3.11 or newer; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(TORCH) into $(VENV) (once; a few minutes) ..."
	@$(PIP) install '$(TORCH)'
	@touch $@

$(READY): pyproject.toml $(VENV)/.torch-ready
	@echo "Installing onegen-el into $(VENV) ..."
	@$(PIP) install --editable '.[dev,train]'
	@touch $@

link: $(READY) ## link the names in an example news text
	@$(BIN)/onegen-el link examples/news.txt

test: $(READY) ## run the tests (ARGS="-k offsets" for some)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: $(READY) ## mend style and format where that can be done by machine
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

model: $(READY) kb/build/entities.parquet ## train the bundled model, best on a GPU (DATA, BASE)
	@# Freed memory that goes back to the system at each step costs a third of the time on Linux.
	@export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592; \
	  $(call train,$(RECIPE),$(BASE),mini) && \
	  $(call train,docs/recipes/wide-2.toml,runs/mini,wide-2) && \
	  $(call train,docs/recipes/wide-3.toml,runs/wide-2,wide-3) && \
	  $(call train,docs/recipes/wide-3.toml,runs/wide-3,wide-4) --set optimiser.steps=193 \
	    --set optimiser.step_tokens=131072 --set optimiser.learning_rate=3e-4
	@mkdir -p $(BUNDLED)/model
	@find runs/wide-4 -maxdepth 1 -type f ! -name recipe.json ! -name log.jsonl ! -name curves.png -exec cp {} $(BUNDLED)/model ';'

facts: $(READY) kb/build/entities.parquet ## choose the entities and pack them as kb/entities.parquet (DATA)
	@$(BIN)/python kb/pack_facts.py kb/build/entities.parquet -o kb/entities.parquet

kb-full: $(READY) ## build the knowledge base of all entities, which `--kb full` opens (KB_FULL)
	@$(BIN)/onegen-el kb build kb/entities.parquet --model $(BUNDLED)/model $(if $(KB_FULL),--out $(KB_FULL),--out "$$($(BIN)/python -c 'from onegen_el.resources import full_kb; print(full_kb())')")

kb-bundled: $(READY) ## build the bundled knowledge base with the bundled model
	@$(BIN)/onegen-el kb build kb/entities.parquet --limit $(ENTITIES) --dims $(DIMS) --model $(BUNDLED)/model --out $(BUNDLED)/kb

kb/build/entities.parquet: kb/select_entities.py $(wildcard kb/selection/*.py) | $(READY)
	@$(BIN)/python kb/select_entities.py --data $(DATA) -o kb/build

calibrate: $(READY) ## set the bundled model's thresholds on development corpora (DATA, CALIBRATION)
	@$(BIN)/onegen-el calibrate --model $(BUNDLED)/model --kb $(BUNDLED)/kb --half even $(call gold,$(CALIBRATION))
	@# Pages that are neither trained on nor measured; OKE's even half is known by heart, so roles has no numbers of its own.
	@$(BIN)/onegen-el calibrate --model $(BUNDLED)/model --kb $(BUNDLED)/kb --policy wikipedia \
	  --half odd --skip 30 --documents 12 $(call gold,wikipedia-pages-2014)

eval: $(READY) ## measure the bundled model and knowledge base on development corpora (DATA, GOLD, HALF)
	@$(BIN)/onegen-el eval --half $(HALF) $(call gold,$(GOLD))

eval-gerbil: $(READY) ## measure as GERBIL does on all corpora that are here; report in runs/eval (DATA)
	@mkdir -p $(REPORT)
	@$(BIN)/onegen-el eval --details $(samples) $(foreach pair,$(stand_ins),--gold $(firstword $(subst =, ,$(pair)))=$(call stand_in,$(pair))) \
	  $(foreach name,$(others),--corpus $(name)) \
	  --json $(REPORT)/figures.json --markdown $(REPORT)/report.md --html $(REPORT)/report.html
	@echo "The report with plots and examples: $(REPORT)/report.html"

eval-dev: $(READY) ## measure all development sets and policies into runs/dev, going on where it was (DATA, MODEL, KB, SETS)
	@$(BIN)/python benchmarks/eval_dev.py --data $(DATA) $(chosen) --out $(DEV) $(if $(SETS),--sets $(SETS))

model-card: $(READY) ## write docs/model-card.md from what eval-dev and bench measured (MODEL, KB, RECIPES)
	@$(BIN)/python benchmarks/model_card.py $(chosen) $(foreach recipe,$(RECIPES),--recipe $(recipe))

bench: $(READY) ## measure speed and memory on this machine
	@mkdir -p runs
	@$(BIN)/onegen-el bench $(chosen) examples/long.txt examples/news.txt --json runs/bench.json

bench-kb: $(READY) ## measure a large knowledge base, beside others (BENCH_KB, DATA, GOLD, ARGS)
	@$(PIP) install --editable '.[bench]'
	@$(BIN)/python benchmarks/bench_kb.py $(BENCH_KB) --queries $(foreach name,$(GOLD),$(DATA)/corpora/$(name).jsonl.gz) \
	  $(if $(wildcard $(BENCH_KB)-built.json),--stages $(BENCH_KB)-built.json) --markdown runs/bench-kb.md $(ARGS)

wheel: $(READY) ## build the wheel into dist/ and check its size
	@$(PIP) wheel --no-deps --wheel-dir $(DIST) .
	@cd $(DIST) && for wheel in *.whl; do \
	  size=$$(wc -c <"$$wheel"); echo "$(DIST)/$$wheel: $$((size / 1000000)) MB"; \
	  test $$size -lt 100000000 || { echo "error: a wheel must stay below 100 MB" >&2; exit 1; }; \
	done

clean: ## remove caches and build outputs (the environment and training runs stay)
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
