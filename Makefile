# The map of the project. Every target that needs it sets up .venv first.
.DEFAULT_GOAL := help
.PHONY: help setup data weights doctor rehearse reproduce source tables test lint smoke sheet
SHELL := /bin/bash

PYTHON ?= python3
SCALE ?= mini
SEEDS ?= 3
JOBS ?=
DATA ?=
RESULTS ?= results
DRY ?=
PICTURES ?=
SETS ?= all
ROW ?=
DEVICE ?= a100
FULL = $(if $(filter file,$(origin SCALE)),paper,$(SCALE))
ENV := .venv/.ready
RUN := .venv/bin/python
FEW = $(if $(filter file,$(origin SEEDS)),1,$(SEEDS))
GIGABYTES := 9

campaign = $(RUN) experiments/reproduce.py --scale $(SCALE) --seeds $(SEEDS) --results "$(RESULTS)" \
	$(if $(JOBS),--jobs $(JOBS)) $(if $(DATA),--data "$(DATA)") $(if $(filter-out 0,$(DRY)),--dry)

help: ## this list
	@grep -hE '^[a-z0-9%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo "  variables: SCALE=mini|pocket|paper SEEDS=3 JOBS=<processes> DATA=<folder of data sets> SETS=cub200,davis ROW=<experiment> DEVICE=a100|h100|l4|rtx4090 RESULTS=results DRY=1 PICTURES=1 PYTHON=python3"

setup: $(ENV) ## virtual environment in .venv with the pinned versions (Python 3.11.4 or newer)

$(ENV): requirements.lock pyproject.toml scripts/preflight.py
	@$(PYTHON) scripts/preflight.py --gigabytes $(GIGABYTES)
	@$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing the pinned versions into .venv (once; a few minutes)"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

data: $(ENV) ## the official data sets, or SETS=cub200,davis, fetched into DATA (data) and verified; says what has to be got by hand
	@$(RUN) scripts/prepare_data.py sets="$(or $(SETS),all)" data="$(or $(DATA),data)"

weights: $(ENV) ## the starting weights of SCALE=paper: fetched from timm, converted from what lies in DATA/weights/original
	@$(RUN) scripts/prepare_weights.py --scale $(FULL) --data "$(or $(DATA),data)"

doctor: $(ENV) ## whether the rows of SCALE=paper (or ROW=dstl_cub200) can start here: data, weights, disk, and their cost on a GPU
	@$(RUN) scripts/doctor.py --scale $(FULL) --data "$(or $(DATA),data)" --seeds $(SEEDS) --device $(DEVICE) $(if $(ROW),--row $(ROW))

rehearse: $(ENV) ## every row of paper scale at full size, two steps each, on drawn files; 2 GB of disk, 20 minutes on 2 cores
	@$(RUN) experiments/rehearse.py --results "$(RESULTS)" $(if $(ROW),--row $(ROW))

reproduce: $(ENV) ## the runs that the tables need and are not done yet, then the tables
	@$(campaign)

source: $(ENV) ## source classes chosen by their distance; at SCALE=mini pre-training on them and fine-tuning too, one seed or SEEDS=3, 7 minutes with one
	@$(RUN) scripts/select_source.py choice=$(if $(filter paper,$(SCALE)),subset_b,$(SCALE)) "paths.results='$(RESULTS)'" \
		$(if $(DATA),"paths.data='$(DATA)'")
	@$(if $(filter mini,$(SCALE)),$(MAKE) -s sweep-sources SEEDS=$(FEW),$(RUN) scripts/report.py --results "$(RESULTS)" --scale $(SCALE))

sweep-%: $(ENV) ## one plan of configs/sweep: sweep-table4, -table5, -table6, -learning_rate (short: -lr), -from_scratch, -selection, -alpha
	@$(campaign) --plan $(if $(filter lr,$*),learning_rate,$*)

tables: $(ENV) ## tables, figures and report.html from the files under results/, without training; renews the README's
	@$(RUN) scripts/report.py --results "$(RESULTS)" $(if $(filter results,$(RESULTS)),--readme README.md) \
		$(if $(filter-out 0,$(PICTURES)),--pictures)

smoke: $(ENV) ## every row of the miniature on the smallest world, in a minute or two; checks that all parts run, its numbers mean nothing
	@$(RUN) experiments/reproduce.py --scale smoke --seeds 1 --results "$(RESULTS)" $(if $(JOBS),--jobs $(JOBS))

sheet: $(ENV) ## one picture of the miniature world: artifacts/sheet.png (draws the world first, a minute or two)
	@$(RUN) scripts/sheet.py

test: $(ENV) ## all tests
	@.venv/bin/python -m pytest -n auto

lint: $(ENV) ## format, style and types
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy
