"""Training a ladder, its card and its grid by the workflow's own rules, on a few hundred tokens."""

import csv
from pathlib import Path

import pytest
from test_workflow import write_corpus
from workflow_case import Case, copy_project

RUNS = [{"widths": [16], "seeds": 1}]
SETTINGS = {
    "corpora": {"small": {"source": "local", "path": "small.jsonl", "reader": "jsonl", "split": "test"}},
    "compute": {"device": "cpu"},
    "entropy": {"models": ["ladder-16-s0"], "corpora": ["small"]},
    "tokens": {"models": ["ladder-16-s0"], "corpora": ["small"], "selection": {"models": []}},
    "ladder": {
        "corpus": "small",
        "runs": RUNS,
        "card": ["small"],
        "recipe": {"tokens": 1024, "vocabulary": 300, "context": 16, "batch": 4},
        "grid": {"runs": RUNS, "unique_tokens": [300], "epochs": [1, 3]},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/ladder/ of a run that trained everything."""
    folder = tmp_path_factory.mktemp("ladder") / "run"
    write_corpus(folder)
    case = Case(copy_project(tmp_path_factory.mktemp("project")), folder, SETTINGS)
    outcome = case.run("ladder", "results/ladder/training_grid.csv", "--cores", "2")
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs == {
        **{"corpus": 1, "ladder_tokenizer": 1, "ladder_model": 1, "ladder_runs": 1, "ladder_card": 1, "ladder": 1},
        **{"ladder_cell": 2, "ladder_grid": 1},
    }
    return folder / "results/ladder"


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_learning_curve_has_the_columns_that_are_shipped_and_falls(trained):
    curve = rows(trained / "training_runs.csv")
    assert list(curve[0]) == [
        "width",
        "layers",
        "heads",
        "params_nonembedding",
        "params_total",
        "seed",
        "tokens",
        "loss_validation",
    ]
    assert {row["width"] for row in curve} == {"16"}
    assert int(curve[-1]["tokens"]) == 1024
    assert float(curve[-1]["loss_validation"]) < float(curve[0]["loss_validation"])


def test_the_model_is_a_folder_that_transformers_loads(trained):
    from geomkit.lm.models import load_tokenizer, untrained_twin

    folder = trained / "ladder-16-s0"
    assert len(load_tokenizer(folder)) == 300
    assert untrained_twin(folder, 0, "float32", "cpu").config.hidden_size == 16
    assert not list((trained / "checkpoints").iterdir())


def test_the_grid_marks_the_budget_of_the_lowest_validation_loss(trained):
    cells = rows(trained / "training_grid.csv")
    assert [(row["unique_tokens"], row["tokens"]) for row in cells] == [("300", "320"), ("300", "960")]
    best = min(cells, key=lambda row: float(row["loss_validation"]))
    assert {(row["layer"], row["length"], row["normalise"], row["eps2"]) for row in cells} == {("last", "64", "unit", "0.5")}
    assert [row["chosen"] for row in cells] == [str(int(row is best)) for row in cells]


def test_the_card_gives_the_models_loss_and_its_baselines(trained):
    card, loss = (trained / "README.md").read_text(), rows(trained / "losses.csv")[0]
    assert f"| ladder-16-s0 | 16 | 0 | {loss['params_total']} |" in card
    assert loss["loss_small"] in card
    assert "unigram" in card
    assert "gzip" in card
