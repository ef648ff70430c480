# Two commands are all a newcomer needs: `make demo` and `make test`; `make demo-eeg` asks recordings of EEG questions in words.
# Each creates .venv with what it needs, if it is not there yet.
PYTHON ?= python3
BIN := .venv/bin

EEG := runs/demo-eeg

.PHONY: demo demo-eeg test lint types format clean

demo: .venv/demo
	$(BIN)/antiphon pretrain time_series/ts2vec data.name=ArrowHead seeds=[0,1,2] run_dir=runs/demo overwrite=true

# Simulated subjects as EDF files with reports; a small EEG-CLIP; then prompts, in words of no report, on subjects it never saw.
demo-eeg: .venv/demo-eeg
	rm -rf $(EEG)
	$(BIN)/python -c "from antiphon.domains.eeg.data.simulation import simulate_recordings as simulate; \
	simulate(80, duration_s=20).write('$(EEG)/recordings'); simulate(4, 1, duration_s=20, seed=1).write('$(EEG)/held-out')"
	$(BIN)/antiphon pretrain eeg/eeg_clip data=eeg/recordings data.root=$(EEG)/recordings/manifest.csv data.window_s=4 \
	  encoder=braindecode towers.per_frame=false text.prompts=eeg_simulated training.epochs=null training.steps=300 optimizer.lr=0.002 \
	  evaluation.random_seeds=[0] evaluation.shares=[1.0] run_dir=$(EEG)/run
	@echo "Probes may lie below the random encoder's: contrast with texts gives away what the texts do not need."
	$(BIN)/antiphon zero-shot eeg $(EEG)/held-out/*.edf --model $(EEG)/run --task slowing
	@echo "What their reports say of it:" && cut -d, -f2- $(EEG)/held-out/manifest.csv

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

.venv/demo-eeg: .venv/pip pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --editable '.[train,eeg,text]'
	@touch $@

.venv/dev: .venv/pip pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo .venv/demo-eeg

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
