PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: plot test quick check docs benchmark faults determinism conformance findings experiments promote-findings promote-directions promote-tokens promote-experiments promote-needle promote-theory promote-conclusions promote-axes promote-ladder promote-controls promote-steps

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

conformance: .venv/test  ## every architecture of transformers against its own numbers (docs/architectures.md), and many odd inputs
	$(BIN)/python tests/conformance
	$(BIN)/pytest $(SIDE_BY_SIDE) -m conformance

findings: .venv/main  ## write docs/findings.md and the README's table anew from workflow/resources/findings
	$(BIN)/snakemake --cores $(CORES) results/findings/findings.md
	cp results/findings/findings.md docs/findings.md
	cp results/findings/README.md README.md

# $(call ship,FILES,FOLDER,COMMAND): FILES go into workflow/resources/FOLDER; where one is missing, COMMAND makes it
define ship
@for file in $(1); do test -f $$file || { echo "no $$file: run $(3)"; exit 1; }; done
mkdir -p workflow/resources/$(2)
cp $(1) workflow/resources/$(2)/
endef
LAWS := $(addprefix results/scaling/,verdicts.csv differences.csv growth.csv loss_axes.json entropy_loss.json data_laws.json fixed_width.csv following.csv)
EXPERIMENTS := $(addprefix results/,findings/ablation_summary.csv findings/components_summary.csv sinks_summary.csv)
AXES := $(addprefix results/axes/,width_depth.csv tied.csv rates.csv seeds.csv)
FACTS := $(addprefix results/theory/training/,facts.csv small_steps.csv step_radii.csv)

experiments: .venv/main  ## removed tokens, sublayers, sinks and documents of SmolLM2 and the ladder's largest, on two corpora
	$(BIN)/snakemake $(EXPERIMENTS) --directory runs/experiments --configfile workflow/config/experiments.yaml --cores $(CORES)
	$(BIN)/snakemake results/findings/semantics_summary.csv --directory runs/semantics --configfile workflow/config/semantics.yaml --cores $(CORES)

# what follows ships results; `make findings` then renders them

promote-findings:  ## verdicts, controls and losses of this run
	$(call ship,$(LAWS),findings,snakemake --cores 2 $(LAWS))

promote-directions:  ## a real model on its own directions
	$(call ship,runs/directions/results/scaling/own_directions.csv,findings,snakemake --cores 2 results/scaling/own_directions.csv --directory runs/directions --configfile workflow/config/directions.yaml)

promote-tokens:  ## scores of selected tokens
	$(call ship,runs/tokens/results/findings/tokens_summary.csv,findings,snakemake --cores 2 results/findings/tokens_summary.csv --directory runs/tokens --configfile workflow/config/tokens.yaml)

promote-experiments:  ## what `make experiments` has found
	$(call ship,$(addprefix runs/experiments/,$(EXPERIMENTS)) runs/semantics/results/findings/semantics_summary.csv,findings,make experiments)

promote-needle:  ## the fact in filler text
	$(call ship,results/needle/needle.csv,needle,snakemake --cores 2 results/needle/needle.csv)

promote-theory:  ## planted facts and small steps that were trained
	$(call ship,$(FACTS),theory,snakemake --cores 2 $(FACTS))

promote-conclusions:  ## what the tests of the theory found
	$(call ship,results/theory/conclusions.csv,findings,snakemake --cores 2 results/theory_check.pdf)
	mv workflow/resources/findings/conclusions.csv workflow/resources/findings/theory_conclusions.csv

promote-axes:  ## what controls_plot.pdf and trajectory_plot.pdf show
	$(call ship,$(AXES) results/trajectory/turns.csv results/trajectory/laws.csv,findings,snakemake --cores 2 results/controls_plot.pdf results/trajectory_plot.pdf)
	for file in turns laws; do mv workflow/resources/findings/$$file.csv workflow/resources/findings/steps_$$file.csv; done

promote-ladder:  ## the ladder that `snakemake ladder` has trained
	@test -f results/ladder/README.md || { echo "results/ladder holds no trained ladder: run snakemake --cores 2 ladder"; exit 1; }
	rm -rf workflow/resources/ladder/ladder-* workflow/resources/ladder/tokenizer
	cp -r results/ladder/tokenizer results/ladder/ladder-* results/ladder/*.csv results/ladder/README.md workflow/resources/ladder/

promote-controls:  ## trainings beside the ladder, as measurements
	$(call ship,results/ladder/controls.csv results/ladder/controls.parquet,ladder,snakemake --cores 2 results/ladder/controls.csv results/ladder/controls.parquet)

promote-steps:  ## weights along training
	$(call ship,results/ladder/steps.csv,ladder,snakemake --cores 2 results/ladder/steps.csv)
	mkdir -p workflow/resources/ladder/steps
	rm -rf workflow/resources/ladder/steps/ladder-*
	cp -r results/ladder/steps/ladder-* workflow/resources/ladder/steps/

.venv/main: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[all]'
	touch $@

.venv/test: .venv/main
	$(PIP) --editable '.[test]'
	touch $@
