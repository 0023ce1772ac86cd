"""Derive from a checked configuration what the workflow does: models and corpora of each stage, variants, dumps and parts.

Rules ask a `Plan`. Methods that take `job` are given a job's wildcards: names are attributes, such as `job.model`.
"""

import csv
import re
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from geomkit.core import variants
from geomkit.core.config import Known, Model, select

Chosen = dict[str, list[str]]
"""Names of models (`model`) and of corpora (`corpus`): every pair of them."""

TWINS = 20
"""At the final state few untrained twins cannot show a difference; results/scaling/fixed_width.csv alone asks for so many."""
SINK_MODES = ["unit", "centre-unit", "raw"]
"""Normalisations of texts without their attention sinks, which docs/protocol_1.md fixes."""
SIZES = 3
"""Number of sizes of a family that a law with size takes."""


@dataclass(frozen=True)
class Plan:
    """Models, corpora and results that a configuration asks for.

    config: whole and checked. models: the catalogue's, by name. known: declarations by kind. stages: keys of the configuration
    that select models and corpora, in order.
    """

    config: Mapping[str, Any]
    models: Mapping[str, Model]
    known: Known
    stages: Sequence[str]

    # models and corpora of a stage

    def chosen(self, stage: str) -> Chosen:
        """Return the models and corpora that a stage selects."""
        selection = self.config[stage]["models"]
        return {
            "model": [model.name for model in select(selection, self.models, f"{stage}.models")],
            "corpus": self.config[stage]["corpora"],
        }

    def probed(self) -> Chosen:
        """Return the models and corpora for token selection, which are also run with masks."""
        selection = self.config["tokens"]["selection"]["models"]
        names = [model.name for model in select(selection, self.models, "tokens.selection.models")]
        return self.chosen("tokens") | {"model": names}

    def wanted(self, stage: str, *targets: str) -> list[str]:
        """Return the targets if a stage selects models, else none."""
        return list(targets) if self.config[stage]["models"] else []

    def running(self, stage: str) -> list[str]:
        """List the models of a stage that run, as opposed to imported states."""
        return [name for name in self.chosen(stage)["model"] if name not in self.imported]

    def dumped_of(self, stage: str) -> list[str]:
        """List the models of a stage whose states are in a dump."""
        return [name for name in self.chosen(stage)["model"] if name in self.dumped]

    def streamed_of(self, stage: str) -> list[str]:
        """List the models of a stage that are measured while they run."""
        return [name for name in self.chosen(stage)["model"] if name in self.streamed]

    @cached_property
    def selected(self) -> list[str]:
        """Models of all stages, one after another."""
        return [name for stage in self.stages for name in self.chosen(stage)["model"]]

    @cached_property
    def tokenizers(self) -> dict[str, Model]:
        """For each tokenizer, the first model that has it, selected ones first."""
        return {
            self.models[name].tokenizer: self.models[name]
            for name in reversed([*self.selected, *self.models])
            if not self.models[name].imported
        }

    def refusals(self, results: Path) -> list[str]:
        """List what could not be measured, one line each: the model, the corpus and the reason. All else has been delivered."""
        return [
            f"{row['model']} on {row['corpus']}: {row['reason']}"
            for path in sorted(results.glob("*_absent.csv"))
            for row in csv.DictReader(path.read_text().splitlines())
            if row["absent"] == "everything" and row["model"] in self.selected
        ]

    def template_of(self, job: Any) -> str | None:
        """Return the template that a corpus, or the model of a tokenizer, asks for before each text."""
        of_corpus = self.config["corpora"][job.corpus].get("template")
        return of_corpus or self.tokenizers[job.tokenizer].entry.get("template")

    def model_texts(self, job: Any) -> str:
        """Return the file of texts that a job's model reads."""
        return f"results/texts/{self.models[job.model].tokenizer}/{job.corpus}.h5"

    # dumps and parts

    @cached_property
    def imported(self) -> list[str]:
        """Models with imported states only."""
        return [name for name, model in self.models.items() if model.imported]

    @cached_property
    def dumped(self) -> list[str]:
        """Models whose states are in a dump."""
        return [name for name in self.models if name in self.imported or self.config["dump"]["keep"] != "none"]

    @cached_property
    def streamed(self) -> list[str]:
        """Models that are measured while they run, without a dump."""
        return [name for name in self.models if name not in self.dumped]

    @cached_property
    def parts(self) -> list[str]:
        """Name of the parts where several jobs share a model's work on a corpus."""
        count = self.config["dump"]["parts"]
        return [f"{number}-of-{count}" for number in range(1, count + 1)]

    def in_parts(self, names: Iterable[str]) -> list[str]:
        """Select the models whose texts are run in several jobs."""
        return [name for name in names if len(self.parts) > 1 and name not in self.imported]

    def whole(self, names: Iterable[str]) -> list[str]:
        """Select the models whose texts are run in one job."""
        names = list(names)
        return [name for name in names if name not in self.in_parts(names)]

    @cached_property
    def first_summed(self) -> list[str]:
        """Normalisations for which a model without a dump first runs once to sum its rows."""
        facts = {mode: self.known["normalisation"][mode].facts for mode in self.config["entropy"]["normalise"]}
        return [mode for mode, one in facts.items() if one.get("centred") or not one.get("unit_rows")]

    # variants and nulls

    @cached_property
    def nulls(self) -> dict[str, dict[str, Any]]:
        """The block `entropy` for each model, which may choose its own nulls."""
        return {name: variants.own(self.config["entropy"], model.entry) for name, model in self.models.items()}

    @cached_property
    def runs(self) -> dict[str, list[str]]:
        """Variants that each model is run for."""
        return {name: variants.runs(entropy) for name, entropy in self.nulls.items()}

    @cached_property
    def drawn(self) -> dict[str, list[str]]:
        """Nulls of drawn rows for each model."""
        return {name: variants.drawn(entropy) for name, entropy in self.nulls.items()}

    @cached_property
    def variants(self) -> list[str]:
        """Variants that any of the models is run for."""
        return variants.union(self.config["entropy"], [model.entry for model in self.models.values()])

    def runs_of(self, job: Any) -> list[str]:
        """Return the variants that a job's model is run for."""
        return self.runs[job.model]

    def drawn_for(self, job: Any) -> list[str]:
        """Return the nulls of drawn rows for a job's model."""
        return self.drawn[job.model]

    def without(self, job: Any) -> dict[str, str]:
        """Return the nulls that a job's model lacks, with reasons."""
        model = self.models[job.model]
        return variants.left_out(self.config["entropy"], model.key, model.entry)

    def twins_of(self, job: Any) -> int:
        """Return how many untrained twins a job's model has at its final state: `TWINS`, unless its entry says otherwise."""
        entry = self.models[job.model].entry
        return entry.get("untrained_seeds", TWINS) if "untrained" in entry.get("nulls", ["untrained"]) else 0

    @property
    def portrait_nulls(self) -> list[str]:
        """Variants beside the trained model in a portrait."""
        return ["shuffled", *(f"untrained-{seed}" for seed in range(self.config["portrait"]["untrained_seeds"]))]

    # metrics and intervals

    @cached_property
    def corpus_resamples(self) -> int:
        """Number of resamples of a corpus; each takes an eigendecomposition for each layer, normalisation, variant and model."""
        return min(200, self.config["scaling"]["bootstrap"])

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics that are measured."""
        named = self.config["entropy"]["metrics"]
        return list(self.known["metric"]) if named == "all" else named

    @cached_property
    def parameters(self) -> dict[str, float]:
        """All metric parameters that the configuration sets, by name."""
        return {"eps2": self.config["entropy"]["eps2"], **self.config["entropy"].get("parameters", {})}

    def metrics_with(self, fact: str) -> list[str]:
        """List the metrics whose declaration sets a keyword, such as `central=True`."""
        return [name for name, one in self.known["metric"].items() if one.facts.get(fact)]

    @cached_property
    def selectors(self) -> list[str]:
        """Name of the token selection methods in use."""
        methods = self.config["tokens"]["selection"]["methods"]
        return list(self.known["selection method"]) if methods == "all" else methods

    # what later stages need of a job

    def needed(self, chosen: Chosen, job: Any) -> bool:
        """Whether a job's model and corpus are among these."""
        return job.model in chosen["model"] and job.corpus in chosen["corpus"]

    @cached_property
    def gain(self) -> dict[str, float]:
        """n and eps2 of c = d / (n eps2), for information gains of tokens."""
        return {"n": self.config["texts"]["length"], "eps2": self.config["tokens"]["eps2"]}

    def gain_constants(self, job: Any) -> dict[str, float] | None:
        """Return the constants of the information gain, or None if gains are not measured in this job."""
        return self.gain if self.needed(self.chosen("tokens"), job) else None

    def whitened_layers(self, job: Any) -> list[Any] | None:
        """Return the layers at which chosen tokens are compared, which need sums of each fold of documents; else None."""
        return self.config["tokens"]["selection"]["layers"] if self.needed(self.probed(), job) else None

    def sink_settings(self, job: Any) -> dict[str, Any] | None:
        """Thresholds of attention sinks, and metrics, where texts are to be measured without sinks."""
        if not self.needed(self.chosen("ablation"), job):
            return None
        return {
            "thresholds": self.config["ablation"]["sinks"],
            "modes": SINK_MODES,
            "eps2": self.config["entropy"]["eps2"],
            "metrics": self.metrics_with("central"),
        }

    def with_sublayers(self, job: Any) -> bool:
        """Whether states after attention and MLPs are dumped: on request, and for documents that people judged."""
        return self.config["dump"]["sublayers"] or self.needed(self.chosen("semantics"), job)

    def lengths_needed(self, job: Any) -> dict[str, int]:
        """Return the lengths that the longest text must have, by key.

        Without them a model would run, and then nothing could be measured.
        """
        chosen, entropy, primary = self.chosen("entropy"), self.config["entropy"], self.config["scaling"]["primary"]
        if job.corpus not in chosen["corpus"] or job.tokenizer not in {self.models[name].tokenizer for name in chosen["model"]}:
            return {}
        drawn = {"scaling.primary.length": primary["length"]} if len(chosen["corpus"]) == 1 else {}
        return {"entropy.lengths": min(entropy["lengths"])} | drawn

    # families

    def members(self, stage: str, job: Any = None) -> dict[str, dict[str, Any]]:
        """Return family and seed of each of a stage's models, or only of those in the family of a job's model."""
        models = [self.models[name] for name in self.chosen(stage)["model"]]
        if job is not None:
            models = [model for model in models if model.family == self.models[job.model].family]
        return {
            "families": {model.name: model.family for model in models},
            "seeds": {model.name: model.seed for model in models},
        }

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of sizes of each family of the stage `entropy`, as far as it is known before models run (`Model.size`)."""
        families: dict[str, set[Hashable]] = {}
        for model in map(self.models.__getitem__, self.chosen("entropy")["model"]):
            families.setdefault(model.family, set()).add(model.size)
        return {family: len(sizes) for family, sizes in families.items()}

    @cached_property
    def has_laws(self) -> bool:
        """Whether any family has as many sizes as laws take."""
        return any(number >= SIZES for number in self.sizes.values())

    @cached_property
    def portraits(self) -> list[str]:
        """Pages of single models of the stage `entropy`: of those that do not ship."""
        chosen = self.chosen("entropy")
        own = [name for name in chosen["model"] if self.models[name].entry["source"] != "bundled"]
        return [f"results/portraits/{name}/{corpus}.html" for name in own for corpus in chosen["corpus"]]

    def targets(self, always: Sequence[str], laws: Sequence[str]) -> list[str]:
        """Return the default targets; laws are among them where a family has enough sizes, and else the terminal says so."""
        if not self.has_laws:
            print(self.without_laws(laws), file=sys.stderr)
        return [*always, *(laws if self.has_laws else ())]

    def compared(self, job: Any, ending: str) -> list[str]:
        """Return the files of the two models that a job compares: of their portraits, or with two tokenizers on passages."""
        pair = job.first, job.second
        one, two = (self.models[name] for name in pair)
        apart = one.tokenizer != two.tokenizer and not (one.imported or two.imported)
        folder = f"{'-vs-'.join(pair)}/" if apart else ""
        return [f"results/portraits/{folder}{name}/{job.corpus}{ending}" for name in pair]

    def without_laws(self, targets: Iterable[str]) -> str:
        """Say in one line which targets are left out for want of sizes, and which pages are made instead, or can be."""
        sizes = ", ".join(f"{family} has {number}" for family, number in self.sizes.items())
        pages = [*self.portraits[:3], *([f"{len(self.portraits) - 3} more"] if len(self.portraits) > 3 else [])]
        left_out = (
            f"Laws with size take {SIZES} sizes of a family, and {sizes}: left out are {', '.join(targets)}, which can still be"
        )
        if not pages:
            return f"{left_out} named as targets, and so can the page of a single model, results/portraits/MODEL/CORPUS.html"
        return f"{left_out} named as targets; the page of a single model is made instead: {', '.join(pages)}"


def one_of(names: Iterable[str]) -> str:
    """Return a wildcard pattern that matches these names only."""
    return "|".join(map(re.escape, names)) or "(?!)"
