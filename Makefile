# Every target delegates to `python -m pipeline`, which decides by content what is stale; nothing here looks at times.
NAME := house-prices
SET :=
DEVICE :=
TRIALS :=
STORAGE :=
FAST :=
TARGET :=
KAGGLE :=
MESSAGE :=
FORCE :=
EXTRAS :=
VENV := .venv
UV :=
TORCH_INDEX :=
PYTHON := python3
DATA := data/raw

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup data init features train evaluate sweep submit report heldout status doctor test test-long test-kernel check lint docs bench bench-gpu clean

ifeq ($(VENV),none)
PY := $(PYTHON)
else
PY := $(VENV)/bin/python
endif
OPTIONS = $(foreach setting,$(SET),--set $(setting)) $(if $(DEVICE),--device $(DEVICE)) $(if $(FAST),--fast)
RUN = $(PY) -m pipeline
# words that a person typed, handed on as one argument whatever they hold
export MESSAGE TARGET STORAGE

help:  ## this list
	@echo "make features train submit     from nothing to a checked submission (reports/$(NAME)/submission.csv)"
	@echo "make test                      the core test suite"
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo
	@echo "variables: NAME=$(NAME)  SET=\"train.lr=1e-3 model.depth=3\"  DEVICE=cpu|cuda  TRIALS=20  FAST=1"
	@echo "           TARGET=column (init)  KAGGLE=slug MESSAGE=\"…\" (data, submit)  EXTRAS=kaggle,trees (setup)"
	@echo "           VENV=none (use the current interpreter)  UV=1  TORCH_INDEX=URL (an index of CPU-only torch)"

setup:  ## create .venv and install what is pinned in constraints.txt
	@VENV="$(VENV)" PYTHON="$(PYTHON)" UV="$(UV)" EXTRAS="$(EXTRAS)" TORCH_INDEX="$(TORCH_INDEX)" sh ./setup.sh

data: setup  ## fetch the sample of that NAME, or a competition's files (KAGGLE=slug)
	@$(RUN) sample $(NAME) $(if $(KAGGLE),--kaggle $(KAGGLE))

init: setup  ## draft competitions/NAME.toml from data/raw/NAME/ (TARGET=column, FORCE=1)
	@$(RUN) init $(NAME) $(foreach setting,$(SET),--set $(setting)) $(if $(TARGET),--target "$$TARGET") $(if $(FORCE),--force)

features: setup  ## ingest and preprocess
	@$(RUN) preprocess $(NAME) $(OPTIONS)

train: setup  ## train every fold and seed as one batched program
	@$(RUN) train $(NAME) $(OPTIONS)

evaluate: setup  ## scores by fold and pooled, beside baselines
	@$(RUN) evaluate $(NAME) $(OPTIONS)

sweep: setup  ## search hyperparameters (TRIALS=20)
	@$(RUN) search $(NAME) $(OPTIONS) $(if $(TRIALS),--trials $(TRIALS)) $(if $(STORAGE),--storage "$$STORAGE")

submit: setup  ## write and check reports/NAME/submission.csv; KAGGLE=slug MESSAGE="…" uploads it
	@$(RUN) submit $(NAME) $(OPTIONS) $(if $(KAGGLE)$(MESSAGE),--kaggle $(KAGGLE)) $(if $(MESSAGE),-m "$$MESSAGE")

report: setup  ## write reports/NAME/report.html
	@$(RUN) report $(NAME) $(OPTIONS)

heldout: setup  ## score the submission on the sample's held-out rows, and count the look
	@$(RUN) heldout $(NAME) $(OPTIONS)

status: setup  ## what is fresh, stale or absent, and why
	@$(RUN) status $(NAME) $(OPTIONS)

doctor: setup  ## look for leaks, and for drift between train and test
	@$(RUN) doctor $(NAME) $(OPTIONS)

test: setup  ## the core suite
	@$(PY) -m pytest -n auto --maxprocesses=8 --dist=worksteal -m "not slow and not network and not docs"

test-long: setup  ## the slow tests and those that fetch
	@$(PY) -m pytest -m "slow or network"

test-kernel: setup  ## the optimizers' kernel, without a GPU, in Triton's interpreter (installs Triton)
	@$(PY) -c "import triton" 2>/dev/null || $(PY) -m pip install --quiet triton==3.6.0  # PyTorch for CUDA brings its own
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses=8 tests/engine/test_kernel.py

check: lint test docs  ## ruff, mypy, the core suite, README's blocks

lint: setup  ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

docs: setup  ## run README's marked blocks, parse the others
	@$(PY) -m pytest -m docs

bench: setup  ## speed and accuracy against plain loops (DATA=data/raw)
	@$(PY) -m benchmarks.speed --data $(DATA)
	@$(PY) -m benchmarks.accuracy --data $(DATA)
	@$(PY) -m benchmarks.main_job --data $(DATA)
	@$(PY) -m benchmarks.large_table

bench-gpu: setup  ## hundreds of networks on one GPU, beside plain loops
	@$(PY) -m benchmarks.gpu

clean:  ## delete artifacts and outputs of NAME; raw data and the count of looks stay
	@case "$(NAME)" in ""|.*|*[!A-Za-z0-9_.-]*) echo "error: NAME=$(NAME) is no competition name" >&2; exit 2;; esac
	@rm -rf "data/processed/$(NAME)" "models/$(NAME)"
	@if [ -d "reports/$(NAME)" ]; then find "reports/$(NAME)" -mindepth 1 ! -name heldout.json -delete; fi
