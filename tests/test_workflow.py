"""The workflow as a user runs it: the real DAG on six short texts and the two smallest models, without a network."""

import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from itertools import product
from math import isclose, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from test_fetch import make_wheel
from workflow_case import ROOT, Case, Outcome, Run, copy_project

from geomkit.measures.entropy import metrics
from geomkit.measures.selection import selectors
from geomkit.measures.spectra import normalise
from geomkit.store.dumps import Dump, State
from geomkit.store.probes import Probe

MODELS = {"ladder-16-s0": (16, 2), "ladder-24-s0": (24, 3)}
"""Width and depth of each."""
TEXTS, LENGTHS = 6, (8, 32)
SELECTION = {
    "models": ["ladder-24-s0"],
    "layers": ["middle", "last"],
    "texts": 4,
    "targets": 2,
    "budgets": [1, 2, 4],
    "removed": 2,
}
SETTINGS: dict[str, Any] = {
    "corpora": {"small": {"source": "local", "path": "small.jsonl", "reader": "jsonl"}},
    "texts": {"count": TEXTS, "length": LENGTHS[-1]},
    "compute": {"device": "cpu", "batch_tokens": 2 * LENGTHS[-1]},
    "entropy": {"models": list(MODELS), "corpora": ["small"], "lengths": list(LENGTHS), "untrained_seeds": 1},
    "scaling": {"primary": {"length": LENGTHS[-1]}, "bootstrap": 100},
    "tokens": {
        "models": list(MODELS),
        "corpora": ["small"],
        "selection": {
            "models": ["ladder-24-s0"],
            "layers": ["middle", "last"],
            "texts": 4,
            "targets": 2,
            "budgets": [1, 2, 4],
            "removed": 2,
        },
    },
}
RUN = ("trained", "shuffled", "untrained-0")
"""Variants that a model runs on."""
OF_WIDTH = ("fixed-spectrum", "stretched")
"""Nulls made of a family's spectra."""
MODES = ("unit", "centre-unit")
PRIMARY = ["rate_distortion", "rate_distortion_ratio", "rate_distortion_paper", "erank_covariance"]
RECONSTRUCTIONS = ("reconstruction", "reconstruction_unseen")
BY_COORDINATES = {"lasso", "elastic_net", "orthogonal_matching_pursuit", "ridge"}
"""Methods that see the target's own vector."""
METRICS = [name for name in metrics if name != "alpha_req"]
"""Those that the shortest texts have too."""
UPSTREAM = {"corpus": 1, "texts": 1, "dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}
"""Jobs of a whole run up to the merged table."""
JOBS = UPSTREAM | {"tokens": 2}
"""Rules that have another number of jobs in a whole run than one."""


def upstream(outcome: Outcome) -> dict[str, int]:
    """Jobs of a run up to the merged table; what follows the table must run with it."""
    assert outcome.jobs.keys() >= {"entropy_table", "entropy_layers", "scaling", "scaling_plot", "all"}
    return {rule: count for rule, count in outcome.jobs.items() if rule in UPSTREAM}


def write_corpus(folder: Path) -> None:
    """45 documents of 60 common words."""
    text = """the of and to in a that for be our we this by with it is have will on not as all are more their from has people
        government country nation congress year law war public power world time work new great states citizens act right men peace
        freedom made many trade last every today good federal children help economic program tax free"""
    words, draw = re.findall(r"\w+", text), np.random.default_rng(0)
    rows = [{"id": f"speech-{number:02d}", "text": " ".join(draw.choice(words, 60))} for number in range(45)]
    folder.mkdir()
    (folder / "small.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_loud_model(ladder: Path, target: Path) -> None:
    """The smallest model with an embedding that float16 cannot hold."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(ladder / "ladder-16-s0", target)
    shutil.copytree(ladder / "tokenizer", target, dirs_exist_ok=True)
    weights = {name: weight.astype(np.float32) for name, weight in load_file(target / "model.safetensors").items()}
    weights["gpt_neox.embed_in.weight"] *= 1e7
    save_file(weights, target / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project: nobody else edits it, and tests may."""
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def case(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("whole") / "run"
    write_corpus(folder)
    return Case(project, folder, SETTINGS)


@pytest.fixture(scope="module")
def faulty(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A case with corpora, and a model, that jobs find fault with."""
    folder = tmp_path_factory.mktemp("faulty") / "run"
    write_corpus(folder)
    for name, content in {"blank/a.txt": " \n", "bare/a.csv": "no text", "short/a.txt": "a"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(content)
    wheels = folder.with_name("wheels")
    wheels.mkdir()
    make_wheel(wheels, "speeches", {"speeches/a.txt": b"Fellow citizens."})
    write_loud_model(project / "workflow/resources/ladder", folder / "loud")
    settings = SETTINGS | {
        "models": {"loud": {"source": "local", "path": "loud"}},
        "corpora": {
            **SETTINGS["corpora"],
            **{name: {"source": "local", "path": name, "reader": "text"} for name in ("blank", "bare", "short")},
            "wheel": {"source": "pypi", "package": "speeches==1.0", "member": "speeches/a.txt", "sha256": "0" * 64},
        },
        "dump": {"layers": [0, "last"], "sublayers": True, "dtype": "float16", "compression": "gzip", "keep": False},
        "entropy": SETTINGS["entropy"] | {"models": ["ladder-16-s0"], "metrics": PRIMARY, "nulls": ["gaussian"]},
        "tokens": {"models": ["ladder-16-s0"], "corpora": ["small"], "selection": {"models": []}},
    }
    return Case(project, folder, settings, PIP_FIND_LINKS=str(wheels))


FAULTS = {
    "corpora/blank.parquet": "DataError: blank: the reader 'text' found no text in there",
    "corpora/bare.parquet": "DataError: bare: no .txt or .md file in there",
    "sources/corpora/wheel": f"SourceError: speeches==1.0, speeches/a.txt: the sha256 is .*, not the pinned {'0' * 64}",
    "texts/ladder/short.h5": "DataError: results/corpora/short.parquet: no text of at least two tokens",
    "dumps/loud/small/trained.h5": "DataError: dump.dtype: float16 cannot hold /hidden/0, whose largest value is .*; use float32",
}


@pytest.fixture(scope="module", autouse=True)
def started(case: Case, faulty: Case) -> Iterator[tuple[Run, Run]]:
    """The two longest runs, which go on while other tests run."""
    targets = [f"results/{target}" for target in (*FAULTS, "entropy/ladder-16-s0/small.parquet")]
    runs = case.start("--cores", "2"), faulty.start(*targets, "--cores", "2")
    yield runs
    for run in runs:
        run.stop()


@pytest.fixture(scope="module")
def done(started: tuple[Run, Run]) -> Outcome:
    outcome = started[0].wait()
    assert outcome.status == 0, outcome.terminal
    return outcome


@pytest.fixture(scope="module")
def table(case: Case, done: Outcome) -> list[dict[str, Any]]:
    return pq.read_table(case.folder / "results/entropy.parquet").to_pylist()


class Killed(NamedTuple):
    """What became of a run in which one job was killed, the dumps that the job left, and the run that came after it."""

    case: Case
    outcome: Outcome
    dumps: list[Path]
    resumed: Run


@pytest.fixture(scope="module")
def killed(done: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """The same case on one core, in another place."""
    folder = tmp_path_factory.mktemp("killed") / "some/where/else"
    folder.parent.mkdir(parents=True)
    write_corpus(folder)
    case = Case(copy_project(tmp_path_factory.mktemp("elsewhere")), folder, SETTINGS)
    run = case.start("--cores", "1")
    while not (parts := list(folder.glob("results/dumps/*/small/.*.part"))) and run.process.poll() is None:
        time.sleep(0.002)
    jobs = psutil.Process(run.process.pid).children(recursive=True)
    next(job for job in reversed(jobs) if any(word.endswith(".dump.py") for word in job.cmdline())).kill()
    outcome = run.wait()
    model = parts[0].parents[1].name
    dumps = list(folder.glob(f"results/dumps/{model}/**/*.h5"))
    resumed = case.start("--cores", "1")
    yield Killed(case, outcome, dumps, resumed)
    resumed.stop()


# What is refused before anything runs


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"texts": {"counts": 6}}, "config: texts: .*unknown key 'counts'; known keys: count, length"),
        ({"texts": {"count": "six"}}, "config: texts.count: 'six' is not of type 'integer'"),
        ({"entropy": {"models": ["gpt9"]}}, "config: entropy.models: unknown model or family 'gpt9'; known: ladder, "),
        ({"entropy": {"metrics": ["rank"]}}, "config: entropy.metrics: unknown metric 'rank'; known: .*erank_covariance"),
        ({"corpora": {"small": {"path": "nowhere"}}}, "config: corpora.small.path: nowhere does not exist"),
        ({"dump": {"layers": [2, 9]}}, r"config: dump.layers: ladder-16-s0: layer 9 does not exist: .* to 3 \("),
        ({"models": {"mine": {"source": "local", "path": "."}}}, r"config: models.mine.path: \. holds no model"),
    ],
    ids=[
        "unknown key",
        "wrong type",
        "unknown model",
        "unknown metric",
        "missing file",
        "missing layer",
        "family without models",
    ],
)
def test_a_faulty_configuration_is_refused_in_one_line_that_names_the_key(project, tmp_path, settings, message):
    write_corpus(tmp_path / "run")
    outcome = Case(project, tmp_path / "run", SETTINGS).run("--cores", "2", settings=settings)
    assert outcome.status == 1
    assert len(re.findall(f"^ConfigError: {message}.*$", outcome.terminal, re.MULTILINE)) == 1, outcome.terminal
    assert "Traceback" not in outcome.terminal
    assert not (tmp_path / "run/results").exists()


# Suites and style


SUITES = [path for path in sorted((ROOT / "workflow/config").glob("*.yaml")) if path.stem != "tokens"]
"""Families on the hub."""


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_a_suite_fetches_each_of_its_models_and_corpora_from_the_hub(project, tmp_path, suite):
    settings = yaml.safe_load(suite.read_text())
    chosen = set(settings["entropy"]["models"])
    models = [name for name, entry in settings["models"].items() if {name, entry.get("family", name)} & chosen]
    outcome = Case(project, tmp_path, suite).run("--cores", "1", "--dry-run")
    assert outcome.status == 0, outcome.terminal
    wanted = [*(f"model {name}" for name in models), *(f"corpus {name}" for name in settings["entropy"]["corpora"])]
    assert sorted(re.findall(r"Fetching the (\w+ .+)", outcome.terminal)) == sorted(wanted)
    assert outcome.jobs["dump"] == len(models) * len(settings["entropy"]["corpora"])


def test_the_suite_of_tokens_probes_both_models_on_both_corpora(project, tmp_path):
    outcome = Case(project, tmp_path, ROOT / "workflow/config/tokens.yaml").run(
        "results/tokens.html", "--cores", "1", "--dry-run"
    )
    assert outcome.status == 0, outcome.terminal
    assert {rule: outcome.jobs[rule] for rule in ("dump", "spectra", "probe")} == {"dump": 4, "spectra": 4, "probe": 4}


def test_fetching_alone_is_a_target(project, tmp_path):
    settings = yaml.safe_load(SUITES[0].read_text())
    models, corpora = (len(settings[kind]) for kind in ("models", "corpora"))
    outcome = Case(project, tmp_path, SUITES[0]).run("fetch", "--cores", "1", "--dry-run")
    assert outcome.jobs == {"fetch_model": models, "fetch_corpus": corpora, "fetch": 1}


def test_snakemake_finds_nothing_to_complain_about(case):
    outcome = case.run("--lint")
    assert outcome.status == 0, outcome.terminal
    assert "Congratulations" in outcome.terminal


# What jobs refuse


def test_each_job_that_fails_says_why_in_one_line_and_leaves_nothing_while_others_go_on(faulty, started):
    outcome = started[1].wait()
    assert outcome.status == 1
    for message in FAULTS.values():
        assert len(re.findall(f"^{message}.*$", outcome.terminal, re.MULTILINE)) == 1, outcome.terminal
    assert "Traceback" not in outcome.terminal
    wanted = [
        "corpora/short.parquet",
        "corpora/small.parquet",
        "entropy/ladder-16-s0/small.parquet",
        "spectra/ladder-16-s0/small.h5",
        "texts/ladder/small.h5",
        "texts/loud/small.h5",
    ]
    assert list(faulty.results()) == wanted


def test_settings_decide_what_is_measured(faulty, started):
    started[1].wait()
    table = pq.read_table(faulty.folder / "results/entropy/ladder-16-s0/small.parquet").to_pylist()
    found = {(row["variant"], row["layer"], row["sublayer"], row["metric"]) for row in table}
    losses = {("trained", None, None, name) for name in ("loss", "loss_per_byte")}
    states = [(0, "block"), (2, "attention"), (2, "mlp"), (2, "block")]
    assert (
        found == {(variant, *state, name) for variant, state, name in product(["trained", "gaussian"], states, PRIMARY)} | losses
    )


# Results


def test_a_run_has_one_job_for_each_model_and_stage(done):
    assert upstream(done) == UPSTREAM
    assert all(count == JOBS.get(rule, 1) for rule, count in done.jobs.items())
    assert "Traceback" not in done.terminal


def test_the_table_has_every_metric_of_every_cloud_and_nothing_else(table):
    names = ("variant", "layer", "sublayer", "normalise", "metric", "n", "text")
    clouds = [*product(LENGTHS, range(TEXTS)), (TEXTS * LENGTHS[-1], -1)]
    measured = [*product(METRICS, clouds), *(("alpha_req", cloud) for cloud in clouds if cloud[0] > LENGTHS[0])]
    for model, (_, depth) in MODELS.items():
        places = [*product([*RUN, "gaussian"], range(depth + 2)), *product(OF_WIDTH, (0, depth, depth + 1))]
        wanted = {(*place, "block", mode, name, *cloud) for place, mode, (name, cloud) in product(places, MODES, measured)}
        rows = [row for row in table if row["model"] == model and row["normalise"] is not None]
        assert {tuple(row[name] for name in names) for row in rows} == wanted
        assert len(rows) == len(wanted)


def test_columns_say_what_was_measured(table):
    assert list(table[0]) == [
        *("model", "family", "seed", "params_nonembedding", "params_total", "depth", "corpus", "variant", "text", "document"),
        *("layer", "sublayer", "normalise", "metric", "value", "bound", "n", "d"),
    ]
    assert {(row["family"], row["seed"], row["corpus"]) for row in table} == {("ladder", 0, "small")}
    assert all((row["document"] is None) == (row["text"] == -1) for row in table)
    for model, (width, depth) in MODELS.items():
        mine = [row for row in table if row["model"] == model]
        blocks = depth * (12 * width**2 + 13 * width) + 2 * width
        assert {row["d"] for row in mine if row["layer"] is not None} == {width}
        assert {row["depth"] for row in mine} == {depth}
        assert {row["params_nonembedding"] for row in mine} == {blocks}
        assert {row["params_total"] for row in mine} == {blocks + 2 * 2048 * width}


def test_every_value_is_within_its_bound(table):
    bounded = [row for row in table if row["bound"] is not None]
    assert {row["metric"] for row in bounded} >= set(PRIMARY)
    assert all(-1e-9 <= row["value"] <= row["bound"] * (1 + 1e-9) for row in bounded)


def test_losses_are_those_of_the_variants_that_a_model_ran_on(table):
    losses = [row for row in table if row["normalise"] is None]
    found = [(row["model"], row["variant"], row["metric"], row["text"]) for row in losses]
    assert sorted(found) == sorted(product(MODELS, RUN, ["loss", "loss_per_byte"], range(-1, TEXTS)))
    scored = LENGTHS[-1] - 1
    assert {(row["text"] == -1, row["n"]) for row in losses} == {(False, scored), (True, TEXTS * scored)}
    for model in MODELS:
        mine = {(row["variant"], row["text"]): row["value"] for row in losses if (row["model"], row["metric"]) == (model, "loss")}
        for variant in RUN:
            assert isclose(mine[variant, -1], sum(mine[variant, text] for text in range(TEXTS)) / TEXTS, rel_tol=1e-12)
        assert isclose(mine["untrained-0", -1], log(2048), rel_tol=0.05)
        assert mine["trained", -1] < mine["untrained-0", -1]


def test_what_is_absent_is_listed_with_its_reason(case, done):
    with (case.folder / "results/entropy_absent.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [f"alpha_req, {variant}, {mode}, n = 8" for variant, mode in product([*RUN, "gaussian"], MODES)]
    nulls = product(["fixed-spectrum", "stretched"], MODELS, MODES)
    listed = [
        *product(MODELS, names),
        *(("nulls", f"alpha_req, {null} of {model}, {mode}, n = 8") for null, model, mode in nulls),
    ]
    assert sorted((row["model"], row["corpus"], row["absent"]) for row in rows) == sorted(
        (model, "small", what) for model, what in listed
    )
    assert {row["reason"] for row in rows} == {f"fewer than 8 eigenvalues between 5 % and 50 % of m = {m}" for m in (7, 8)}


def test_two_sizes_give_figures_but_no_law(case, done):
    results = case.folder / "results"
    fits = [fit for fit in json.loads((results / "scaling/fits.json").read_text()) if fit["form"] == "power"]
    assert {(fit["family"], fit["corpus"], fit["metric"]) for fit in fits} == set(
        product(["ladder"], ["small"], [*PRIMARY, "loss"])
    )
    assert all("2 sizes" in fit["reason"] and not fit["params"] for fit in fits)
    for figure in ("entropy_layers.pdf", "scaling_plot.pdf", "nulls_plot.pdf", "losses_plot.pdf", "data_plot.pdf"):
        assert (results / figure).read_bytes().startswith(b"%PDF")


def test_gains_of_a_text_add_up_to_ln_det(case, done):
    rows = pq.read_table(case.folder / "results/tokens.parquet", filters=[("metric", "=", "information_gain")]).to_pylist()
    for model, (width, depth) in MODELS.items():
        c = width / (LENGTHS[-1] * 0.5)
        with Dump(case.folder / f"results/dumps/{model}/small/trained.h5") as dump:
            for layer, text in product((0, depth, depth + 1), range(TEXTS)):
                Z = normalise(dump.rows(State(layer), text, text + 1), "unit")
                gains = [row["value"] for row in rows if (row["model"], row["layer"], row["text"]) == (model, layer, text)]
                assert len(gains) == LENGTHS[-1]
                assert isclose(sum(gains), np.linalg.slogdet(np.eye(len(Z)) + c * Z @ Z.T)[1], rel_tol=1e-9)


def test_every_method_is_scored_at_every_budget_and_target(case, done):
    rows = pq.read_table(case.folder / "results/tokens.parquet", filters=[("k", ">", 0)]).to_pylist()
    places = ("layer", "first", "method", "k", "text", "position")
    for metric in ("divergence", "loss_increase", "reconstruction", "reconstruction_unseen", "held_out_r2", "raw_r2"):
        found = {tuple(row[name] for name in places) for row in rows if row["metric"] == metric}
        targets = {place[4:] for place in found}
        assert len(targets) == 8
        assert all(4 < position <= LENGTHS[-1] - 2 for _, position in targets)
        pairs = [(first, method) for first, method in product((0, 1), selectors) if (first, method) != (1, "first_recency")]
        assert found == {(layer, *pair, k, *target) for layer, pair, k, target in product((2, 3), pairs, (1, 2, 4), targets)}
    removed = {(row["text"], row["position"]) for row in rows if row["metric"] == "removed_divergence"}
    assert {position for _, position in removed} == {LENGTHS[-1] - 2}
    assert len(removed) == 2
    assert all(row["value"] >= 0 for row in rows if "divergence" in row["metric"])
    assert all(row["value"] <= 1 + 1e-9 for row in rows if row["metric"] in ("raw_r2", "held_out_r2"))
    both = {
        name: {tuple(row[key] for key in places): row["value"] for row in rows if row["metric"] == name}
        for name in RECONSTRUCTIONS
    }
    seen, unseen = (both[name] for name in RECONSTRUCTIONS)
    assert all(unseen[place] == value for place, value in seen.items() if place[2] not in BY_COORDINATES)
    assert any(unseen[place] != value for place, value in seen.items() if place[2] == "lasso")


def test_the_summary_of_tokens_has_values_within_their_intervals(case, done):
    rows = list(csv.DictReader((case.folder / "results/tokens_summary.csv").read_text().splitlines()))
    shares = [float(row["value"]) for row in rows if row["metric"].endswith("_win") or row["metric"] == "jaccard"]
    assert shares
    assert all(0 <= share <= 1 for share in shares)
    assert max(float(row["value"]) for row in rows if row["metric"] == "lasso_gap") < 1e-6
    for row in rows:
        if row["low"] and row["metric"] in ("divergence", "gain_at_position"):
            assert float(row["low"]) - 1e-9 <= float(row["value"]) <= float(row["high"]) + 1e-9
    correlations = [row for row in rows if row["metric"] in ("gain_surprisal", "gain_next_surprisal")]
    assert {(row["variant"], row["method"]) for row in correlations} == set(product(("trained", "shuffled"), ("raw", "partial")))


def test_the_page_of_tokens_holds_texts_of_the_probed_model(case, done):
    page = (case.folder / "results/tokens.html").read_text()
    with Probe(case.folder / "results/probes/ladder-24-s0/small.h5") as probe:
        assert f"ladder-24-s0, small, {probe.document[0]}" in page
        assert json.dumps(probe.tokens(int(probe.text[0]))[3])[1:-1] in page


def test_the_corpus_is_resampled_for_every_variant_and_diff_erank_has_a_row_for_each_model_and_length(case, done):
    results = case.folder / "results"
    resamples = pq.read_table(results / "resamples/small.parquet").to_pylist()
    places = product(MODELS, [*RUN, *OF_WIDTH, "gaussian"], ("last", "final"), MODES, list(metrics))
    found = [tuple(row[name] for name in ("model", "variant", "layer", "normalise", "metric")) for row in resamples]
    assert sorted(found) == sorted(places)
    assert {len(row["values"]) for row in resamples} == {100}
    with (results / "scaling/diff_erank.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["variant"] == "measured"]
    assert [(row["model"], row["length"]) for row in rows] == [(model, n) for n in ("8", "32", "") for model in MODELS]
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in rows)


def test_dumps_of_trained_models_are_kept_and_those_of_nulls_are_not(case, done):
    dumps = case.folder / "results/dumps"
    assert sorted(dumps.rglob("*.*")) == [dumps / model / "small/trained.h5" for model in MODELS]


# Repetition


def test_a_killed_job_leaves_no_dump_and_the_others_go_on(killed):
    assert killed.outcome.status == 1
    assert "SIGKILL" in killed.outcome.terminal
    assert "Traceback" not in killed.outcome.terminal
    assert killed.dumps == []


# What runs again


def listed(case: Case, *arguments: str, settings: dict[str, Any] | None = None) -> Outcome:
    outcome = case.run("all", "--cores", "1", "--dry-run", *arguments, settings=settings)
    assert outcome.status == 0, outcome.terminal
    return outcome


@pytest.mark.parametrize(
    ("module", "users", "jobs"),
    [
        ("lm/capture.py", {"dump"}, {"dump": 2, "spectra": 2, "entropy": 2, "width_nulls": 1}),
        ("measures/entropy.py", {"entropy", "width_nulls", "corpus_resamples"}, {"entropy": 2, "width_nulls": 1}),
    ],
)
def test_a_change_of_the_library_reruns_the_rules_that_use_it_and_what_follows(case, done, module, users, jobs):
    path = case.project / "lib/geomkit" / module
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.changed == users
    assert upstream(outcome) == jobs


def test_a_change_of_a_figure_redraws_it_alone(case, done):
    path = case.project / "lib/geomkit/figures/layers.py"
    source = path.read_text()
    try:
        path.write_text(source + "\n\nCHANGED = 1\n")
        outcome = listed(case)
    finally:
        path.write_text(source)
    assert outcome.jobs == {"entropy_layers": 1, "all": 1}


def test_comments_and_docstrings_rerun_nothing_nor_do_changes_that_were_undone(case, done):
    sources = {path: path.read_text() for path in (case.project / "lib/geomkit").rglob("*.py")}
    try:
        for path, source in sources.items():
            remarked = re.sub(r"^( +)(?=return\b)", r'\1"""A remark."""  # and another\n\1', source, flags=re.MULTILINE)
            path.write_text(re.sub(r'"""[A-Z].*?"""', '"""Other words."""', remarked, flags=re.DOTALL))
        assert all(path.read_text() != source for path, source in sources.items() if "return" in source)
        outcome = listed(case)
    finally:
        for path, source in sources.items():
            path.write_text(source)
    assert outcome.jobs == {}
    assert "Nothing to be done" in outcome.terminal


@pytest.mark.parametrize(
    ("arguments", "settings", "jobs"),
    [
        (["--forcerun", "entropy"], None, {"entropy": 2}),
        ([], {"entropy": {"eps2": 0.25}}, {"entropy": 2, "width_nulls": 1}),
        (
            [],
            {"entropy": {"models": [*MODELS, "ladder-32-s0"]}},
            {"dump": 1, "spectra": 1, "entropy": 1, "width_nulls": 1},
        ),
    ],
    ids=["forced", "another eps2", "one more model"],
)
def test_what_is_asked_for_runs_with_what_follows_and_no_more(case, done, arguments, settings, jobs):
    assert upstream(listed(case, *arguments, settings=settings)) == jobs


def test_a_report_is_written_without_a_network(case, done):
    outcome = case.run("--report", "report.html")
    assert outcome.status == 0, outcome.terminal
    page = (case.folder / "report.html").read_text()
    assert all(name in page for name in ("entropy_layers.pdf", "scaling_plot.pdf"))


def test_a_run_that_was_killed_ends_with_the_same_bytes_on_one_core_in_another_place(case, killed):
    outcome = killed.resumed.wait()
    assert outcome.status == 0, outcome.terminal
    assert upstream(outcome) == {"dump": 1, "spectra": 1, "entropy": 1, "width_nulls": 1}
    results, expected = killed.case.results(), case.results()
    assert list(results) == list(expected)
    assert [path for path, content in results.items() if content != expected[path]] == []
