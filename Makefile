PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin

.PHONY: plot test check benchmark promote-ladder promote-theory

plot: .venv/main  ## set up, and draw results/scaling_plot.pdf
	$(BIN)/snakemake --cores $(CORES) results/scaling_plot.pdf

test: .venv/test  ## set up, and run the tests
	$(BIN)/pytest

check: .venv/test  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

benchmark: .venv/test  ## side by side with peers
	$(BIN)/pip install --quiet --editable '.[benchmark]'
	$(BIN)/python tests/benchmarks

promote-ladder:  ## ship the ladder that `snakemake ladder` has trained
	@test -f results/ladder/README.md || { echo "results/ladder holds no trained ladder: run snakemake --cores 2 ladder"; exit 1; }
	rm -rf workflow/resources/ladder/ladder-* workflow/resources/ladder/tokenizer
	cp -r results/ladder/tokenizer results/ladder/ladder-* results/ladder/*.csv results/ladder/README.md workflow/resources/ladder/

promote-theory:  ## ship the planted facts and small steps that were trained
	@test -f results/theory/training/facts.csv -a -f results/theory/training/small_steps.csv || { echo "results/theory/training holds no facts.csv and small_steps.csv: make them with snakemake"; exit 1; }
	cp results/theory/training/*.csv workflow/resources/theory/

.venv/main: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/test: .venv/main
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@
