# The map of the project. Every target that needs it sets up .venv first.
.DEFAULT_GOAL := help
.PHONY: help setup data weights doctor dry-run reproduce source tables smoke sheet test-fast test lint
SHELL := /bin/bash

PYTHON ?= python3
GIGABYTES := 9
ENV := .venv/.ready
RUN := .venv/bin/python

# Each variable that is given goes to the script as the option of its name in small letters: SCALE=small is scale=small.
# Defaults are the scripts' own.
lower = $(shell echo $(1) | tr A-Z a-z)
options = $(foreach name,$(1),$(if $($(name)),'$(call lower,$(name))=$($(name))'))

help: ## this list
	@awk -f scripts/make_help.awk $(MAKEFILE_LIST)

setup: $(ENV) ## virtual environment in .venv with the pinned versions (Python 3.11.4 or newer)

$(ENV): requirements.lock pyproject.toml scripts/preflight.py
	@$(PYTHON) scripts/preflight.py --gigabytes $(GIGABYTES)
	@$(RUN) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing the pinned versions into .venv (once; a few minutes)"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

data: $(ENV) ## the official data sets SETS=cub200,davis (or all), fetched and verified; says what has to be got by hand
	@$(RUN) scripts/prepare_data.py $(call options,SETS DATA VERIFY KEEP)

weights: $(ENV) ## the pre-trained weights of a scale: fetched from timm, converted from what lies in DATA/weights/original
	@$(RUN) scripts/prepare_weights.py $(call options,SCALE DATA CONVERT)

doctor: $(ENV) ## whether the rows of a scale (or ROW=dstl_cub200) can start here: data, weights, disk, cost on a GPU
	@$(RUN) scripts/doctor.py $(call options,SCALE DATA ROW DEVICE SEEDS)

dry-run: $(ENV) ## every row of paper scale at full size, two steps each, on drawn files; 2 GB of disk, 20 minutes on 2 cores
	@$(RUN) experiments/dry_run.py $(call options,ROW RESULTS ARTIFACTS)

reproduce: $(ENV) ## the runs that the tables need (or one PLAN of configs/sweep) and are not done yet, then the tables
	@$(RUN) experiments/reproduce.py $(call options,SCALE SEEDS JOBS PLAN DATA RESULTS DRY)

sweep-%: ## one plan of configs/sweep: sweep-table4, -table5, -table6, -learning_rate, -from_scratch, -selection, -sources, ...
	@$(MAKE) -s reproduce PLAN=$*

source: $(ENV) ## source classes nearest to the targets, by SELECTION=mini, small or subset_b; then make sweep-sources
	@$(RUN) scripts/select_source.py $(call options,SELECTION) \
		$(if $(DATA),'paths.data=$(DATA)') $(if $(RESULTS),'paths.results=$(RESULTS)')

tables: $(ENV) ## tables, figures, report.html and pages of docs/ from the files under results/, without training
	@$(RUN) scripts/report.py $(if $(RESULTS),,docs=docs readme=README.md) $(call options,RESULTS SCALE FIGURES PICTURES QUIET)

smoke: $(ENV) ## every row of the miniature on the smallest world, in a minute or two: checks that all parts run
	@$(RUN) experiments/reproduce.py scale=smoke seeds=1 $(call options,JOBS RESULTS)

sheet: $(ENV) ## one picture of the miniature world: artifacts/sheet.png (draws the world first, a minute or two)
	@$(RUN) scripts/sheet.py

test-fast: $(ENV) ## the tests that train nothing and start no process, in less than a minute
	@.venv/bin/python -m pytest -n auto -m "not slow"

test: $(ENV) ## all tests
	@.venv/bin/python -m pytest -n auto

lint: $(ENV) ## format, style and types
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy
