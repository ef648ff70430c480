# Two commands are all a newcomer needs: `make demo` and `make test`. Each creates .venv with what it needs, if it is not there yet.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types format clean

demo: .venv/demo
	$(BIN)/antiphon pretrain time_series/ts2vec data.name=ArrowHead seeds=[0,1,2] run_dir=runs/demo overwrite=true

test: .venv/dev lint types
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/pip: 
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

.venv/demo: .venv/pip pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --editable '.[train,time-series]'
	@touch $@

.venv/dev: .venv/pip pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
