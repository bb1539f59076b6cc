# Two commands do all on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
# Each search in a test is a process; without bytecode its imports take twice as long.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python

.PHONY: demo test lint types unit docs regression cluster-test count clean

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: $(BIN)/uv pyproject.toml
	$(UV) --editable .
	touch $@

$(VENV)/.installed-test: $(BIN)/uv pyproject.toml
	$(UV) --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(BIN)/uv pyproject.toml
	$(UV) --editable '.[docs]'
	touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/alphadia-tl demo

test: lint types unit

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

unit: $(VENV)/.installed-test
	OMP_WAIT_POLICY=passive $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not regression"

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -b html docs docs/_build

# Everything in tests/regression/grid.py; goes on where it was stopped.
regression: $(VENV)/.installed-test
	$(BIN)/pytest -m regression
	$(BIN)/python tests/regression/runner.py --work regression_output

# A real Slurm on this machine; needs root and Debian's slurmctld, slurmd, slurm-client and munge.
cluster-test: $(VENV)/.installed-test
	$(UV) --editable '.[slurm]'
	$(BIN)/python tests/cluster/slurm.py --work cluster_output

# The size of the house.
count:
	@echo "modules:              $$(find alphadia_tl -name '*.py' | wc -l)"
	@echo "lines of the package: $$(find alphadia_tl -name '*.py' -exec cat {} + | wc -l)"
	@echo "top-level files:      $$(ls -p alphadia_tl | grep -cv /)"
	@echo "words of docs:        $$(cat README.md docs/*.md | wc -w)"

clean:
	rm -rf $(VENV) demo_output cluster_output
