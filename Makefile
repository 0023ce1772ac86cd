PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
SIDE_BY_SIDE := --numprocesses 2 --dist loadgroup --no-loadscope-reorder
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: plot test quick check docs benchmark findings promote-findings promote-directions promote-tokens promote-ladder promote-needle promote-theory promote-conclusions faults determinism experiments promote-experiments promote-controls promote-steps promote-axes

plot: .venv/main  ## set up, and draw results/scaling_plot.pdf
	$(BIN)/snakemake --cores $(CORES) results/scaling_plot.pdf

test: .venv/test  ## set up, and run the tests
	$(BIN)/pytest $(SIDE_BY_SIDE)

quick: .venv/test  ## the tests that need neither Snakemake nor a browser nor patience
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not workflow and not browser and not slow"

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
	$(PIP) --editable '.[benchmark]'
	$(BIN)/python tests/benchmarks

faults: .venv/test  ## kill the small workflow 30 times, and compare bytes
	$(BIN)/python tests/faults

determinism: .venv/test  ## the small workflow six times, with 1, 2 and 8 cores, and compare bytes
	$(BIN)/python tests/determinism

findings: .venv/main  ## write docs/findings.md and the README's table anew from workflow/resources/findings
	$(BIN)/snakemake --cores $(CORES) results/findings/findings.md
	cp results/findings/findings.md docs/findings.md
	cp results/findings/README.md README.md

FINDINGS := $(addprefix results/scaling/,verdicts.csv differences.csv growth.csv loss_axes.json entropy_loss.json data_laws.json fixed_width.csv following.csv)

promote-findings:  ## ship what this run has measured; then `make findings`
	@for file in $(FINDINGS); do test -f $$file || { echo "no $$file: run snakemake --cores 2 $(FINDINGS)"; exit 1; }; done
	mkdir -p workflow/resources/findings
	cp $(FINDINGS) workflow/resources/findings/

promote-directions:  ## ship what a real model shows on its own directions; then `make findings`
	@test -f runs/directions/results/scaling/own_directions.csv || { echo "no runs/directions/results/scaling/own_directions.csv: run snakemake --directory runs/directions --configfile workflow/config/directions.yaml --cores 2 results/scaling/own_directions.csv"; exit 1; }
	mkdir -p workflow/resources/findings
	cp runs/directions/results/scaling/own_directions.csv workflow/resources/findings/

promote-tokens:  ## ship the numbers of the suite of tokens; then `make findings`
	@test -f runs/tokens/results/findings/tokens_summary.csv || { echo "no runs/tokens/results/findings/tokens_summary.csv: run snakemake --directory runs/tokens --configfile workflow/config/tokens.yaml --cores 2 results/findings/tokens_summary.csv"; exit 1; }
	mkdir -p workflow/resources/findings
	cp runs/tokens/results/findings/tokens_summary.csv workflow/resources/findings/

promote-ladder:  ## ship the ladder that `snakemake ladder` has trained
	@test -f results/ladder/README.md || { echo "results/ladder holds no trained ladder: run snakemake --cores 2 ladder"; exit 1; }
	rm -rf workflow/resources/ladder/ladder-* workflow/resources/ladder/tokenizer
	cp -r results/ladder/tokenizer results/ladder/ladder-* results/ladder/*.csv results/ladder/README.md workflow/resources/ladder/

EXPERIMENTS := ablation_summary.csv components_summary.csv sinks_summary.csv
MADE := $(addprefix runs/experiments/results/,$(EXPERIMENTS)) runs/semantics/results/semantics_summary.csv

experiments: .venv/main  ## removed tokens, sublayers, sinks and documents of SmolLM2 and the ladder's largest, on two corpora
	$(BIN)/snakemake $(addprefix results/,$(EXPERIMENTS)) --directory runs/experiments --configfile workflow/config/experiments.yaml --cores $(CORES)
	$(BIN)/snakemake results/semantics_summary.csv --directory runs/semantics --configfile workflow/config/semantics.yaml --cores $(CORES)

promote-experiments:  ## ship what `make experiments` has found; then `make findings`
	@for file in $(MADE); do test -f $$file || { echo "no $$file: run make experiments"; exit 1; }; done
	mkdir -p workflow/resources/findings workflow/resources/sinks
	cp $(MADE) workflow/resources/findings/
	mv workflow/resources/findings/sinks_summary.csv workflow/resources/sinks/

promote-needle:  ## ship what `snakemake results/needle/needle.csv` has found
	@test -f results/needle/needle.csv || { echo "no needle was scored: run snakemake --cores 2 results/needle/needle.csv"; exit 1; }
	mkdir -p workflow/resources/needle
	cp results/needle/needle.csv workflow/resources/needle/

promote-theory:  ## ship the planted facts and small steps that were trained
	@test -f results/theory/training/facts.csv -a -f results/theory/training/small_steps.csv || { echo "results/theory/training holds no facts.csv and small_steps.csv: make them with snakemake"; exit 1; }
	cp results/theory/training/*.csv workflow/resources/theory/

promote-conclusions:  ## ship what the tests of the theory found; then `make findings`
	@test -f results/theory/conclusions.csv || { echo "no results/theory/conclusions.csv: run snakemake --cores 2 results/theory_check.pdf"; exit 1; }
	mkdir -p workflow/resources/findings
	cp results/theory/conclusions.csv workflow/resources/findings/theory_conclusions.csv

promote-controls:  ## ship what `snakemake results/ladder/controls.csv results/ladder/controls.parquet` has trained and measured
	@test -f results/ladder/controls.csv -a -f results/ladder/controls.parquet || { echo "results/ladder holds no controls.csv and controls.parquet: make them with snakemake"; exit 1; }
	cp results/ladder/controls.csv results/ladder/controls.parquet workflow/resources/ladder/

promote-steps:  ## ship the weights along training that `snakemake results/ladder/steps.csv` has kept
	@test -f results/ladder/steps.csv || { echo "no results/ladder/steps.csv: make it with snakemake"; exit 1; }
	mkdir -p workflow/resources/ladder/steps
	rm -rf workflow/resources/ladder/steps/ladder-*
	cp -r results/ladder/steps/ladder-* workflow/resources/ladder/steps/
	cp results/ladder/steps.csv workflow/resources/ladder/

AXES := width_depth tied rates seeds

promote-axes:  ## ship what controls_plot.pdf and trajectory_plot.pdf show; then `make findings`
	@test -f results/axes/width_depth.csv -a -f results/trajectory/laws.csv || { echo "no results/axes and results/trajectory: run snakemake --cores 2 results/controls_plot.pdf results/trajectory_plot.pdf"; exit 1; }
	cp $(AXES:%=results/axes/%.csv) workflow/resources/findings/
	for file in turns laws; do cp results/trajectory/$$file.csv workflow/resources/findings/steps_$$file.csv; done

.venv/main: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[all]'
	touch $@

.venv/test: .venv/main
	$(PIP) --editable '.[test]'
	touch $@
