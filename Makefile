PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin

.PHONY: plot test quick check docs benchmark findings promote-findings promote-tokens promote-ladder promote-needle promote-theory

plot: .venv/main  ## set up, and draw results/scaling_plot.pdf
	$(BIN)/snakemake --cores $(CORES) results/scaling_plot.pdf

test: .venv/test  ## set up, and run the tests
	$(BIN)/pytest

quick: .venv/test  ## the tests that need neither Snakemake nor a browser nor patience
	$(BIN)/pytest -m "not workflow and not browser and not slow"

check: .venv/test  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: .venv/main  ## write docs/configuration.md anew from the schema, and docs/costs.md from what was measured
	$(BIN)/python -m geomkit.schema_page workflow/schemas/config.schema.yaml config.yaml > docs/configuration.md
	$(BIN)/python -m geomkit.cost_page workflow/resources/costs > docs/costs.md

benchmark: .venv/test  ## side by side with peers
	$(BIN)/pip install --quiet --editable '.[benchmark]'
	$(BIN)/python tests/benchmarks

findings: .venv/main  ## write docs/findings.md and the README's table anew from workflow/resources/findings
	$(BIN)/snakemake --cores $(CORES) results/findings/findings.md
	cp results/findings/findings.md docs/findings.md
	cp results/findings/README.md README.md

SCALING := verdicts.csv differences.csv slopes.csv

promote-findings:  ## ship what this run has measured; then `make findings`
	@for file in $(SCALING); do test -f results/scaling/$$file || { echo "no results/scaling/$$file: run snakemake --cores 2 results/claims.csv"; exit 1; }; done
	mkdir -p workflow/resources/findings
	cp $(addprefix results/scaling/,$(SCALING)) workflow/resources/findings/

promote-tokens:  ## ship the numbers of the suite of tokens; then `make findings`
	@test -f runs/tokens/results/tokens_summary.csv || { echo "no runs/tokens/results/tokens_summary.csv: run snakemake --directory runs/tokens --configfile workflow/config/tokens.yaml --cores 2"; exit 1; }
	mkdir -p workflow/resources/findings
	cp runs/tokens/results/tokens_summary.csv workflow/resources/findings/

promote-ladder:  ## ship the ladder that `snakemake ladder` has trained
	@test -f results/ladder/README.md || { echo "results/ladder holds no trained ladder: run snakemake --cores 2 ladder"; exit 1; }
	rm -rf workflow/resources/ladder/ladder-* workflow/resources/ladder/tokenizer
	cp -r results/ladder/tokenizer results/ladder/ladder-* results/ladder/*.csv results/ladder/README.md workflow/resources/ladder/

promote-needle:  ## ship what `snakemake results/needle/needle.csv` has found
	@test -f results/needle/needle.csv || { echo "no needle was scored: run snakemake --cores 2 results/needle/needle.csv"; exit 1; }
	mkdir -p workflow/resources/needle
	cp results/needle/needle.csv workflow/resources/needle/

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
