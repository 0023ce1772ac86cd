"""Training a ladder, its card and its grid by the workflow's own rules, on a few hundred tokens."""

import csv
from pathlib import Path

import pytest
from runs import WITHOUT, write_corpus
from workflow_case import Case, copy_project

RUNS = [{"widths": [16], "seeds": 1}]
SETTINGS = {
    "corpora": {"small": {"source": "local", "path": "small.jsonl", "reader": "jsonl", "split": "test"}},
    "compute": {"device": "cpu"},
    "entropy": {"models": ["ladder-16-s0"], "corpora": ["small"]},
    "tokens": {"models": ["ladder-16-s0"], "corpora": ["small"], "selection": {"models": []}},
    **WITHOUT,
    "ladder": {
        "corpus": "small",
        "runs": RUNS,
        "card": ["small"],
        "recipe": {"tokens": 1024, "vocabulary": 300, "context": 16, "batch": 4},
        "grid": {"runs": RUNS, "unique_tokens": [300], "epochs": [1, 3]},
        "controls": {
            **{"depth": [{"forms": ["16x1-tied"], "seeds": 1}], "rates": [], "tied": []},
            "seeds": [{"forms": [16], "seeds": "own", "tokens": 512, "peak_rates": [0.02, 0.04], "weight_decays": [0.3]}],
        },
        "steps": {"forms": [16], "seeds": 1, "at": [2, 7, 16]},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/ladder/ of a run that trained everything."""
    folder = tmp_path_factory.mktemp("ladder") / "run"
    write_corpus(folder)
    case = Case(copy_project(tmp_path_factory.mktemp("project")), folder, SETTINGS)
    tables = [f"results/ladder/{name}.csv" for name in ("training_grid", "controls", "steps")]
    outcome = case.run("ladder", *tables, "--cores", "2")
    assert outcome.status == 0, outcome.terminal
    assert outcome.jobs == {
        **{"corpus": 1, "ladder_tokenizer": 1, "ladder_model": 1, "ladder_runs": 1, "ladder_card": 1, "ladder": 1},
        **{"ladder_cell": 2, "ladder_grid": 1},
        **{"ladder_control": 3, "ladder_controls": 1, "ladder_steps": 1, "ladder_steps_table": 1},
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
    from geomkit.core.config import ModelSpec
    from geomkit.models.load import load_tokenizer, untrained_twin

    folder = trained / "ladder-16-s0"
    assert len(load_tokenizer(folder)) == 300
    assert untrained_twin(ModelSpec(folder, device="cpu"), 0).config.hidden_size == 16
    assert not list((trained / "checkpoints").iterdir())


def test_the_grid_marks_the_budget_of_the_lowest_validation_loss(trained):
    cells = rows(trained / "training_grid.csv")
    assert [(row["unique_tokens"], row["tokens"]) for row in cells] == [("300", "320"), ("300", "960")]
    best = min(cells, key=lambda row: float(row["loss_validation"]))
    assert {(row["layer"], row["length"], row["normalise"], row["eps2"]) for row in cells} == {("last", "256", "unit", "0.5")}
    assert [row["chosen"] for row in cells] == [str(int(row is best)) for row in cells]


def test_the_card_gives_the_models_loss_and_its_baselines(trained):
    card, loss = (trained / "README.md").read_text(), rows(trained / "losses.csv")[0]
    assert f"| ladder-16-s0 | 16 | 0 | {loss['params_total']} |" in card
    assert loss["loss_small"] in card
    assert "unigram" in card
    assert "gzip" in card


def test_what_is_trained_beside_the_ladder_is_named_and_described(trained):
    cells = rows(trained / "controls.csv")
    assert [row["model"] for row in cells] == [
        "ladder-16x1-tied-s0",
        "ladder-16-tokens512-rate0.02-decay0.3-s0",
        "ladder-16-tokens512-rate0.04-decay0.3-s1",
    ]
    assert [(row["layers"], row["tied"], row["tokens"], row["peak_rate"], row["weight_decay"]) for row in cells] == [
        ("1", "1", "1024", "0.04", "0.1"),
        ("2", "0", "512", "0.02", "0.3"),
        ("2", "0", "512", "0.04", "0.3"),
    ]
    for row in cells:
        assert (trained / "controls" / row["model"] / "model.safetensors").exists()


def test_weights_kept_on_the_way_lead_to_the_ladders_own_model(trained):
    stages = rows(trained / "steps.csv")
    assert [(row["model"], row["tokens"]) for row in stages] == [
        ("ladder-16-s0-step2", "128"),
        ("ladder-16-s0-step7", "448"),
        ("ladder-16-s0-step16", "1024"),
    ]
    weights = [(trained / "steps" / row["model"] / "model.safetensors").read_bytes() for row in stages]
    assert weights[-1] == (trained / "ladder-16-s0/model.safetensors").read_bytes()
    assert len(set(weights)) == 3
    assert stages[-1]["loss_validation"] == rows(trained / "training_runs.csv")[-1]["loss_validation"]
