"""What a configuration plans: models, corpora and variants of each stage, parts, and what later stages need."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from geomkit.core.catalogue import declared_by_kind
from geomkit.core.config import Model, stages, trainings
from geomkit.core.plan import TWINS, Plan, one_of
from geomkit.core.trainings import fact_cells

ROOT = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
KNOWN = declared_by_kind()
ENTRIES: dict[str, dict[str, Any]] = {
    "a16": {"source": "local", "family": "a"},
    "a32": {"source": "local", "family": "a", "seed": 1, "tokenizer": "own"},
    "b": {"source": "hub", "tokenizer": "own", "nulls": ["shuffled"]},
    "theirs": {"source": "states"},
}
MODELS = {
    name: Model(name, entry.get("family", name), entry.get("seed"), Path(name), name, entry) for name, entry in ENTRIES.items()
}
CONFIG: dict[str, Any] = {
    "texts": {"length": 64},
    "dump": {"parts": 1, "keep": True, "sublayers": False},
    "entropy": {
        "models": ["a", "theirs"], "corpora": ["one", "two"], "lengths": [32, 16], "normalise": ["unit", "raw"], "eps2": 0.5,
        "metrics": "all", "nulls": ["gaussian", "shuffled", "untrained"], "untrained_seeds": 2,
    },
    "scaling": {"primary": {"length": 32}, "bootstrap": 1000},
    "tokens": {
        "models": ["a"], "corpora": ["one"], "eps2": 0.25,
        "selection": {"models": ["a32"], "layers": ["last"], "methods": "all"},
    },
    "ablation": {"models": ["a16"], "corpora": ["one"], "sinks": [10]},
    "semantics": {"models": ["b"], "corpora": ["two"]},
}  # fmt: skip


def plan(**changes: Any) -> Plan:
    """The plan with changed keys of a block, such as `dump={"parts": 3}`."""
    config = CONFIG | {block: CONFIG[block] | keys for block, keys in changes.items()}
    return Plan(config, MODELS, KNOWN, ["entropy", "tokens", "ablation", "semantics"])


def job(model: str, corpus: str = "one", **more: str) -> SimpleNamespace:
    return SimpleNamespace(model=model, corpus=corpus, **more)


def test_a_stage_is_a_block_of_the_schema_with_models_and_corpora():
    assert list(stages(SCHEMA)) == [
        "entropy",
        "tokens",
        "ablation",
        "components",
        "semantics",
        "one_token",
        "next_token",
        "width_share",
        "word_order",
        "trajectory",
        "theory",
    ]
    assert "needs" not in stages(SCHEMA)["entropy"]
    assert stages(SCHEMA)["tokens"]["needs"] == "token ids, surprisal and counts of tokens"


def test_a_stage_has_the_models_of_its_families():
    assert plan().chosen("entropy") == {"model": ["a16", "a32", "theirs"], "corpus": ["one", "two"]}
    assert plan().running("entropy") == ["a16", "a32"]
    assert plan().probed() == {"model": ["a32"], "corpus": ["one"]}
    assert plan(ablation={"models": []}).wanted("ablation", "x") == []
    assert plan().wanted("ablation", "x", "y") == ["x", "y"]


def of_family(folder: Path, entries: dict[str, dict[str, Any]], numbers: dict[str, dict[str, Any]]) -> Plan:
    """A plan for one family of these entries; `numbers` stand in the configurations of those that are on disk."""
    for name, settings in numbers.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(settings))
    models = {
        name: Model(name, entry.get("family", "a"), entry.get("seed"), folder / name, name, entry)
        for name, entry in entries.items()
    }
    entropy = CONFIG["entropy"] | {"models": list(entries)}
    return Plan(CONFIG | {"entropy": entropy}, models, KNOWN, ["entropy"])


HERE, HUB = {"source": "local", "path": "x"}, {"source": "hub", "repository": "a/b", "revision": "main"}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "bos_token_id": 0, "vocab_size": 99, "dtype": "float16"}


@pytest.mark.parametrize(
    ("entries", "numbers", "sizes"),
    [
        ({"base": HERE, "tuned": HERE}, {"base": SMALL, "tuned": SMALL | {"vocab_size": 100, "bos_token_id": 1}}, 1),
        ({"one": HERE, "two": HERE, "three": HERE}, {"one": SMALL, "two": SMALL | {"hidden_size": 32}, "three": SMALL}, 2),
        ({"one": HERE, "two": HERE}, {"one": SMALL, "two": {"text_config": SMALL}}, 1),
        ({"one": HERE, "two": HERE}, {"one": SMALL, "two": SMALL | {"intermediate_size": 64}}, 2),
        ({"base": HUB, "tuned": HUB}, {}, 2),
        ({"b-s0": HUB, "b-s1": HUB, "c-seed3": HUB, "c": HUB}, {}, 2),
        ({"b": HUB, "c": HERE}, {"b": SMALL, "c": SMALL}, 2),
        ({"q4": HERE | {"path": "x.gguf"}, "q8": HERE | {"path": "y.gguf"}}, {}, 2),
        ({"b": {"source": "states", "params_nonembedding": 5}, "c": {"source": "states", "params_nonembedding": 5}}, {}, 1),
    ],
)
def test_sizes_are_counted_before_models_run(tmp_path, entries, numbers, sizes):
    """What is yet to be fetched counts by its name, even if an earlier run has made its folder."""
    assert of_family(tmp_path, entries, numbers).sizes == {"a": sizes}


def test_laws_take_three_sizes_of_one_family_and_other_models_have_pages(tmp_path):
    few = of_family(tmp_path, {"b": HUB | {"family": "b"}, "c-s0": HUB, "c-s1": HUB}, {})
    assert (few.has_laws, few.sizes) == (False, {"b": 1, "a": 1})
    pages = [f"results/portraits/{name}/{corpus}.html" for name in ("b", "c-s0", "c-s1") for corpus in ("one", "two")]
    assert few.portraits == pages
    said = few.without_laws(["results/law.pdf"])
    assert "b has 1, a has 1: left out are results/law.pdf," in said
    assert said.endswith(f"made instead: {', '.join(pages[:3])}, 3 more")
    assert "\n" not in said
    many = of_family(tmp_path, {"b": HUB | {"family": "b"}, "c": HUB, "d": HUB, "e": HUB}, {})
    assert many.has_laws
    assert many.portraits == [f"results/portraits/{name}/{corpus}.html" for name in "bcde" for corpus in ("one", "two")]
    bundled = HUB | {"source": "bundled"}
    shipped = of_family(tmp_path, {"c": HUB, "d": bundled, "e": bundled}, {})
    assert {page.split("/")[2] for page in shipped.portraits} == {"c"}


def test_models_that_ship_have_a_page_only_by_name(tmp_path):
    bundled = HUB | {"source": "bundled"}
    own = of_family(tmp_path, {"b": HUB | {"family": "b"}, "c": bundled, "d": bundled}, {})
    assert (own.has_laws, own.portraits) == (False, ["results/portraits/b/one.html", "results/portraits/b/two.html"])
    none = of_family(tmp_path, {"c": bundled, "d": bundled}, {})
    assert (none.has_laws, none.portraits) == (False, [])
    said = none.without_laws(["results/law.pdf"])
    assert said.endswith(
        "can still be named as targets, and so can the page of a single model, results/portraits/MODEL/CORPUS.html"
    )


def test_texts_are_cut_by_the_first_model_that_a_stage_selects():
    assert {name: model.name for name, model in plan().tokenizers.items()} == {"a16": "a16", "own": "a32"}
    assert plan(entropy={"models": ["b"]}).tokenizers["own"].name == "b"
    assert plan().model_texts(job("b", "two")) == "results/texts/own/two.h5"


@pytest.mark.parametrize(("keep", "dumped"), [(True, list(MODELS)), (False, list(MODELS)), ("none", ["theirs"])])
def test_without_dumps_models_are_measured_while_they_run_but_for_imported_states(keep, dumped):
    found = plan(dump={"keep": keep})
    assert found.dumped == dumped
    assert sorted([*found.dumped, *found.streamed]) == sorted(MODELS)
    assert found.dumped_of("entropy") + found.streamed_of("entropy") == (
        ["a16", "a32", "theirs"] if keep != "none" else ["theirs", "a16", "a32"]
    )


def test_parts_are_of_models_that_run():
    one, three = plan(), plan(dump={"parts": 3})
    assert one.parts == ["1-of-1"]
    assert one.in_parts(one.dumped) == []
    assert three.parts == ["1-of-3", "2-of-3", "3-of-3"]
    assert (three.in_parts(three.dumped), three.whole(three.dumped)) == (["a16", "a32", "b"], ["theirs"])


def test_a_pattern_has_these_names_and_no_other():
    assert re.fullmatch(one_of(["a.b", "c"]), "a.b")
    assert not re.fullmatch(one_of(["a.b", "c"]), "aXb")
    assert not re.fullmatch(one_of([]), "")


def test_sums_come_first_where_a_normalisation_takes_the_mean_or_the_lengths():
    assert plan().first_summed == ["raw"]
    assert plan(entropy={"normalise": ["unit", "centre-unit"]}).first_summed == ["centre-unit"]


def test_each_model_has_its_own_nulls():
    found = plan()
    assert found.runs_of(job("a16")) == ["trained", "shuffled", "untrained-0", "untrained-1"] == found.variants
    assert (found.runs_of(job("b")), found.drawn_for(job("b"))) == (["trained", "shuffled"], [])
    assert (found.runs_of(job("theirs")), found.drawn_for(job("theirs"))) == (["trained"], ["gaussian"])
    assert found.without(job("b")) == dict.fromkeys(["gaussian", "untrained"], "models.b.nulls leaves it out")
    assert (found.twins_of(job("a16")), found.twins_of(job("b"))) == (TWINS, 0)


def test_metrics_are_those_of_the_configuration_with_its_parameters():
    assert plan().metrics == list(plan().known["metric"])
    assert plan(entropy={"metrics": ["renyi_2"]}).metrics == ["renyi_2"]
    assert plan(entropy={"parameters": {"power": 3}}).parameters == {"eps2": 0.5, "power": 3}
    assert plan().metrics_with("central") == ["rate_distortion_ratio", "erank_covariance"]
    assert plan().metrics_with("phases") == ["erank_singular", "alpha_req"]
    assert (plan().corpus_resamples, plan(scaling={"bootstrap": 150}).corpus_resamples) == (200, 150)
    assert plan().selectors == list(KNOWN["selection method"])
    assert plan(tokens={"selection": {"methods": ["lasso"]}}).selectors == ["lasso"]


def test_a_job_takes_what_later_stages_need_of_its_model_and_corpus():
    found = plan()
    assert found.gain_constants(job("a16")) == {"n": 64, "eps2": 0.25}
    assert found.gain_constants(job("a16", "two")) is found.gain_constants(job("b")) is None
    assert (found.whitened_layers(job("a32")), found.whitened_layers(job("a16"))) == (["last"], None)
    assert found.sink_settings(job("a16")) == {
        "thresholds": [10],
        "modes": ["unit", "centre-unit", "raw"],
        "eps2": 0.5,
        "metrics": found.metrics_with("central"),
    }
    assert found.sink_settings(job("a32")) is None
    assert (found.with_sublayers(job("b", "two")), found.with_sublayers(job("b"))) == (True, False)
    assert plan(dump={"sublayers": True}).with_sublayers(job("b")) is True


def test_texts_are_as_long_as_what_is_measured_of_them():
    found, alone = plan(), plan(entropy={"corpora": ["one"]})
    assert found.lengths_needed(job("", tokenizer="a16")) == {"entropy.lengths": 16}
    assert alone.lengths_needed(job("", tokenizer="own")) == {"entropy.lengths": 16, "scaling.primary.length": 32}
    assert alone.lengths_needed(job("", "two", tokenizer="own")) == found.lengths_needed(job("", tokenizer="b")) == {}


def test_a_models_family_is_of_the_same_stage():
    assert plan().members("entropy", job("a32")) == {"families": {"a16": "a", "a32": "a"}, "seeds": {"a16": None, "a32": 1}}
    assert plan().members("ablation", job("a32"))["families"] == {"a16": "a"}
    assert list(plan().members("entropy")["families"]) == ["a16", "a32", "theirs"]


def test_what_was_refused_is_said_of_models_that_a_stage_selects(tmp_path):
    rows = ["a16,one,everything,too wide", "a16,one,alpha_req,too short", "gone,one,everything,too wide"]
    (tmp_path / "entropy_absent.csv").write_text("\n".join(["model,corpus,absent,reason", *rows]))
    assert plan().refusals(tmp_path) == ["a16 on one: too wide"]


def test_models_of_a_training_are_in_the_order_of_its_steps():
    models = [Model(f"b-s0-step{step}", "b", 0, Path("b"), "b", {}, step) for step in (8, 2, 30)]
    found = trainings([*models, Model("c", "a", 1, Path("c"), "c", {}, 4)])
    assert list(found) == ["a-s1", "b-s0"]
    assert [model.step for model in found["b-s0"]] == [2, 8, 30]


def test_planted_facts_are_learnt_at_every_width_and_by_the_widest_on_the_axis_of_data():
    found = fact_cells({"widths": [8, 16], "exponents": [0.5, 1], "seeds": 2, "samples": [100]})
    assert len(found) == 2 * 2 * 2 + 2
    assert found[0] == "w8-a0.5-s0-law"
    assert found[-2:] == ["w16-a0.5-s0-d100", "w16-a1-s0-d100"]
