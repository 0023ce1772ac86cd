"""What is refused before anything runs, and what jobs refuse."""

import re
from itertools import product

import pyarrow.parquet as pq
import pytest
from runs import FAULTS, PRIMARY, SETTINGS, write_corpus
from workflow_case import Case


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"texts": {"counts": 6}}, "config: texts: .*unknown key 'counts'; known keys: count, length"),
        ({"corpora": {"small": {"path": "nowhere"}}}, "config: corpora.small.path: nowhere does not exist"),
    ],
    ids=["unknown key", "missing file"],
)
def test_a_faulty_configuration_is_refused_in_one_line_that_names_the_key(project, tmp_path, settings, message):
    """Which faults are found, and what is said of each: tests/test_config.py."""
    write_corpus(tmp_path / "run")
    outcome = Case(project, tmp_path / "run", SETTINGS).run("--cores", "2", settings=settings)
    assert outcome.status == 1
    assert len(re.findall(f"^ConfigError: {message}.*$", outcome.terminal, re.MULTILINE)) == 1, outcome.terminal
    assert "Traceback" not in outcome.terminal
    assert not (tmp_path / "run/results").exists()


def test_a_key_that_stands_twice_is_refused_with_its_lines(project, tmp_path):
    """Which other traps of YAML are found: tests/test_configfiles.py."""
    write_corpus(tmp_path / "run")
    case = Case(project, tmp_path / "run", SETTINGS)
    lines = case.settings.read_text().splitlines()
    case.settings.write_text("\n".join([*lines, "texts: {count: 3}", ""]))
    outcome = case.run("--cores", "2")
    assert outcome.status == 1
    twice = rf"lines {lines.index('texts:') + 1} and {len(lines) + 1}"
    assert re.findall(rf"^ConfigError: config: texts: stands twice in settings.yaml, {twice}", outcome.terminal, re.MULTILINE)
    assert "Traceback" not in outcome.terminal
    assert not (tmp_path / "run/results").exists()


def test_each_job_that_fails_says_why_in_one_line_and_leaves_nothing_while_others_go_on(faulty, faults):
    outcome = faults.wait()
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


def test_settings_decide_what_is_measured(faulty, faults):
    faults.wait()
    table = pq.read_table(faulty.folder / "results/entropy/ladder-16-s0/small.parquet").to_pylist()
    found = {(row["variant"], row["layer"], row["sublayer"], row["metric"]) for row in table}
    losses = {("trained", None, None, name) for name in ("loss", "loss_per_byte")}
    states = [(0, "block"), (2, "attention"), (2, "mlp"), (2, "block")]
    assert (
        found == {(variant, *state, name) for variant, state, name in product(["trained", "gaussian"], states, PRIMARY)} | losses
    )
