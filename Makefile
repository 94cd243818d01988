# Two commands are all a newcomer needs: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The board's port in the demo: make demo PORT=9000
PORT ?= 8090

.PHONY: demo test setup lint types check lock clean

demo: setup
	@$(BIN)/connector demo --port $(PORT)

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

setup:
	@$(PYTHON) scripts/setup.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: lint types test

# Pins the newest versions that setup.cfg allows, with hashes, for every system and Python from 3.11 on.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra test --generate-hashes \
	  --no-annotate --no-header --output-file requirements.lock setup.cfg

clean:
	rm -rf $(VENV) $(VENV).old build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
