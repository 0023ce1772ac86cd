PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: plot test quick check docs benchmark faults determinism conformance site findings experiments promote

plot: .venv/main  ## set up, and draw results/scaling_plot.pdf
	$(BIN)/snakemake --cores $(CORES) results/scaling_plot.pdf

test: .venv/test  ## set up, and run the tests
	$(BIN)/pytest $(SIDE_BY_SIDE)

quick: .venv/test  ## the tests that need neither Snakemake nor a browser nor patience
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not workflow and not browser and not slow and not conformance"

check: .venv/test  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: .venv/main  ## write docs/configuration.md and its pages anew from the schema, docs/costs.md from what was measured, docs/metrics.md from declarations
	$(BIN)/python -m geomkit.core.schema_page workflow/schemas/config.schema.yaml config.yaml docs
	$(BIN)/python -m geomkit.core.cost_page workflow/resources/costs > docs/costs.md
	$(BIN)/python -m geomkit.core.metrics_page > docs/metrics.md

site: .venv/main  ## build the documentation in build/site, strictly
	$(PIP) --editable '.[site]'
	$(BIN)/sphinx-build -W --keep-going -n -q -b html docs build/site

benchmark: .venv/test  ## side by side with peers
	$(PIP) --editable '.[benchmark]'
	$(BIN)/python tests/benchmarks

faults: .venv/test  ## kill the small workflow 30 times, and compare bytes
	$(BIN)/python tests/faults

determinism: .venv/test  ## the small workflow six times, with 1, 2 and 8 cores, and compare bytes
	$(BIN)/python tests/determinism

conformance: .venv/test  ## every architecture of transformers against its own numbers (docs/architectures.md), and many odd inputs
	$(BIN)/python tests/conformance
	$(BIN)/pytest $(SIDE_BY_SIDE) -m conformance

findings: .venv/main  ## write docs/findings.md with its figures, docs/paper.md and the README's table anew from workflow/resources/findings
	$(BIN)/snakemake --cores $(CORES) results/findings/findings.md
	cp results/findings/findings.md docs/findings.md
	mkdir -p docs/findings && rm -f docs/findings/*.png && cp results/findings/figures/*.png docs/findings
	cp results/findings/paper.md docs/paper.md
	cp results/findings/README.md README.md

EXPERIMENTS := $(addprefix results/,ablation_summary.csv components_summary.csv sinks_summary.csv)

experiments: .venv/main  ## removed tokens, sublayers, sinks and documents of SmolLM2 and the ladder's largest, on two corpora
	$(BIN)/snakemake $(EXPERIMENTS) --directory runs/experiments --configfile workflow/config/experiments.yaml --cores $(CORES)
	$(BIN)/snakemake results/semantics_summary.csv --directory runs/semantics --configfile workflow/config/semantics.yaml --cores $(CORES)

promote: .venv/main  ## ship what this run, and those in runs/, have made: all, or what begins with PATHS below results/
	$(BIN)/python -m geomkit.ledger.promote $(PATHS)

.venv/main: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[all]'
	touch $@

.venv/test: .venv/main
	$(PIP) --editable '.[test]'
	touch $@
