"""Trainings beside the ladder: names, forms, weights that are kept on the way; the ladder's own training stays as it was."""

import csv
import dataclasses
import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from test_ladder import TINY, TRAINING, VALIDATION, Killed, kill, same, trained, whole
from transformers import AutoModelForCausalLM

from geomkit.core.errors import ConfigError
from geomkit.core.provenance import digest
from geomkit.ladder import controls
from geomkit.ladder.controls import train_control
from geomkit.ladder.names import Form, Training, expand, parse, parse_form
from geomkit.ladder.training import SHAPES, Recipe, Run, build, evaluate, shape, stream, train, train_tokenizer
from geomkit.models.load import sizes
from geomkit.sources.corpora import Document

__all__ = ["kill", "whole"]

# names


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("ladder-16-s0", Training(16, 0)),
        ("ladder-16x8-s1", Training(16, 1, Form(depth=8))),
        ("ladder-32-mlp16-s0", Training(32, 0, Form(mlp=16))),
        ("ladder-48-tied-s0", Training(48, 0, Form(tied=True))),
        ("ladder-16x4-mlp2-tied-s12", Training(16, 12, Form(4, 2, True))),
        ("ladder-24-tokens2000000-rate0.01-decay0.03-s5", Training(24, 5, Form(), 2_000_000, 0.01, 0.03)),
        ("ladder-24-rate1e-05-decay0.0-s5", Training(24, 5, Form(), None, 1e-5, 0.0)),
    ],
)
def test_a_name_says_what_a_training_is(name, training):
    assert parse(name) == training
    assert str(training) == name


def test_every_training_has_a_name_of_its_own():
    forms = [Form(*parts) for parts in itertools.product((None, 2, 4), (4, 16), (False, True))]
    recipes = list(itertools.product((None, 1_000_000), (None, 0.02), (None, 0.3)))
    all_of_them = [
        Training(width, seed, form, *own) for width in (16, 32) for seed in (0, 10) for form in forms for own in recipes
    ]
    names = [str(training) for training in all_of_them]
    assert len(set(names)) == len(all_of_them) == 2 * 2 * 12 * 8
    assert [parse(name) for name in names] == all_of_them


@pytest.mark.parametrize("name", ["ladder-16", "ladder-16-s0-step500", "ladder-x8-s0", "ladder-16-tied-mlp16-s0", "pythia-16-s0"])
def test_another_name_is_refused(name):
    with pytest.raises(ConfigError, match=f"ladder: '{name}' is not the name of a training"):
        parse(name)


def test_a_form_is_a_word_and_a_number_is_a_width():
    assert parse_form(16) == parse_form("16") == (16, Form())
    assert parse_form("16x8-tied") == (16, Form(depth=8, tied=True))
    with pytest.raises(ConfigError, match="'16y8' is no form"):
        parse_form("16y8")


def test_a_group_stands_for_its_forms_grid_and_seeds():
    assert list(map(str, expand({"forms": [16, "32x2"], "seeds": 2}))) == [
        "ladder-16-s0",
        "ladder-16-s1",
        "ladder-32x2-s0",
        "ladder-32x2-s1",
    ]
    rates = expand({"forms": ["16x8"], "seeds": 1, "tokens": 1000, "peak_rates": [0.02, 0.04]})
    assert list(map(str, rates)) == ["ladder-16x8-tokens1000-rate0.02-s0", "ladder-16x8-tokens1000-rate0.04-s0"]


def test_own_seeds_give_each_pair_of_rate_and_decay_one_seed():
    rates, decays = [0.01, 0.02, 0.04, 0.08], [0.01, 0.03, 0.1, 0.3]
    group = {"forms": [16, 24], "seeds": "own", "peak_rates": rates, "weight_decays": decays}
    found = list(expand(group))
    for width in (16, 24):
        cells = [training for training in found if training.width == width]
        assert [training.seed for training in cells] == list(range(16))
        assert [(cell.peak_rate, cell.weight_decay) for cell in cells] == list(itertools.product(rates, decays))


# the ladder's own training


def test_the_ladders_own_checkpoints_are_those_of_before(tmp_path, kill):
    """A checkpoint's task is made of width, seed, recipe and data alone: one from before goes on."""
    kill(9)
    with pytest.raises(Killed):
        trained(tmp_path / "checkpoint")
    with safe_open(tmp_path / "checkpoint", "pt") as stored:
        notes, names = stored.metadata(), list(stored.keys())
    assert notes["task"] == digest(16, 0, TINY, hashlib.sha256(TRAINING.tobytes()).hexdigest())
    assert {name for name in names if name.startswith("model.")} == {f"model.{name}" for name in build(16, TINY, 0).state_dict()}


def test_the_recipe_that_a_checkpoint_names_is_that_of_before():
    assert repr(Recipe()) == (
        "Recipe(tokens=8000000, vocabulary=2048, context=256, batch=8, peak_rate=0.04, warmup=0.05, floor=0.1, "
        "betas=(0.9, 0.95), weight_decay=0.1, clip=1.0, evaluations=16, validation_windows=256)"
    )


def test_keeping_weights_changes_nothing_of_the_training(whole, tmp_path):
    assert same(train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "checkpoint", keep=[1, 5, 24]), whole)


@pytest.mark.parametrize("width", SHAPES)
def test_a_form_of_the_ladders_own_numbers_is_the_ladders_own_model(width):
    own, said = build(width, TINY, 3), build(width, TINY, 3, Form(depth=SHAPES[width][0], mlp=4))
    assert all(torch.equal(a, b) for a, b in zip(own.state_dict().values(), said.state_dict().values(), strict=True))


# forms


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_depth_changes_the_layers_and_not_the_heads(depth):
    config = build(32, TINY, 0, Form(depth=depth)).config
    assert (config.num_hidden_layers, config.num_attention_heads) == shape(32, Form(depth=depth)) == (depth, SHAPES[32][1])
    block = 12 * 32**2 + 13 * 32
    assert sizes(build(32, TINY, 0, Form(depth=depth))).params_nonembedding == depth * block + 2 * 32


def test_a_wider_mlp_changes_the_size_at_fixed_width_and_depth():
    own, wide = (build(16, TINY, 0, form) for form in (Form(), Form(mlp=16)))
    assert wide.config.intermediate_size == 256
    assert wide.config.num_hidden_layers == own.config.num_hidden_layers
    # 12 more widths of two matrices and of the bias between them
    assert sizes(wide).params_nonembedding - sizes(own).params_nonembedding == 2 * (2 * 12 * 16**2 + 12 * 16)


def test_tied_embeddings_are_one_matrix_and_train_as_one(tmp_path):
    tied, own = build(16, TINY, 0, Form(tied=True)), build(16, TINY, 0)
    assert sizes(own).params_total - sizes(tied).params_total == TINY.vocabulary * 16
    assert sizes(own).params_nonembedding == sizes(tied).params_nonembedding
    model = train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "checkpoint", form=Form(tied=True)).model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert not torch.equal(model.get_output_embeddings().weight, tied.get_output_embeddings().weight)


# going on, and weights on the way

FORMS = [Form(), Form(depth=3), Form(mlp=16), Form(tied=True)]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_killed_run_of_any_form_ends_as_one_left_alone_with_the_same_weights_kept(tmp_path, kill, form):
    def run(name: str) -> Run:
        return train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / name, form=form, keep=[3, 10, 17])

    alone = run("alone")
    for step in (6, 7):  # behind the checkpoints of steps 4 and 8: what was kept at step 3 is in the checkpoint
        kill(step)
        with pytest.raises(Killed):
            run("killed")
    gone_on = run("killed")
    assert same(gone_on, alone)
    assert gone_on.kept.keys() == alone.kept.keys() == {3, 10, 17}
    for step, weights in alone.kept.items():
        assert all(torch.equal(weights[name], gone_on.kept[step][name]) for name in weights)


@pytest.mark.parametrize("step", [1, 5, 12])
def test_weights_at_a_step_are_those_of_a_run_of_the_same_schedule_that_was_interrupted_there(tmp_path, kill, step):
    """The interrupted run writes a checkpoint after every step and is killed in the next."""
    every = dataclasses.replace(TINY, evaluations=TINY.steps)
    kept = train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "whole", keep=[step]).kept[step]
    kill(step)
    with pytest.raises(Killed):
        trained(tmp_path / "interrupted", recipe=every)
    with safe_open(tmp_path / "interrupted", "pt") as stored:
        assert stored.metadata()["step"] == str(step)
        assert all(torch.equal(weight, stored.get_tensor(f"model.{name}")) for name, weight in kept.items())


def test_weights_at_a_step_are_not_those_of_a_shorter_schedule(tmp_path):
    kept = train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "whole", keep=[12]).kept[12]
    short = trained(tmp_path / "short", recipe=dataclasses.replace(TINY, tokens=12 * 32)).model
    assert not all(torch.equal(kept[name], weight) for name, weight in short.named_parameters())


def test_the_last_step_that_is_kept_is_the_trained_model(tmp_path):
    run = train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "checkpoint", keep=[4, 24])
    assert all(torch.equal(a, b) for a, b in zip(run.at(24).parameters(), run.model.parameters(), strict=True))
    assert evaluate(run.at(4), VALIDATION, TINY) == run.curve[0][1]
    assert run.curve[-1][1] == evaluate(run.model, VALIDATION, TINY), "a look at an earlier step leaves the model alone"


def test_a_step_that_a_training_does_not_have_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="ladder: there is no step 25 in a training of 24 steps"):
        train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "checkpoint", keep=[4, 25])


def test_a_checkpoint_that_kept_other_steps_is_not_used(whole, tmp_path, kill):
    kill(9)
    with pytest.raises(Killed):
        trained(tmp_path / "checkpoint")
    assert train(16, 0, TINY, TRAINING, VALIDATION, tmp_path / "checkpoint", keep=[3]).kept.keys() == {3}


# what is written


def control(tmp_path, monkeypatch, name, keep=()):
    """A training of `name` on words of chance: its folder and the rows of its table."""
    draw = np.random.default_rng(0)
    lines = ["".join(draw.choice(list("abcdefgh "), 300)) for _ in range(6)]
    documents = {"train": lines[:4], "validation": lines[4:5], "test": lines[5:]}
    monkeypatch.setattr(
        controls, "stored_documents", lambda path, split: [Document(str(i), text) for i, text in enumerate(documents[split])]
    )
    words = train_tokenizer(documents["train"], 300)
    words.save_pretrained(tmp_path / "tokenizer")
    recipe = dataclasses.replace(TINY, vocabulary=300)
    folder, table = tmp_path / "controls" / name, tmp_path / "controls" / "losses" / "table.csv"
    table.parent.mkdir(parents=True)
    train_control(name, tmp_path, tmp_path / "tokenizer" / "any", table, "saved", vars(recipe), "cpu", keep)
    assert not (tmp_path / "checkpoints" / "saved").exists()
    ids = {split: stream([Document("", text) for text in texts], words) for split, texts in documents.items()}
    return folder, list(csv.DictReader(table.read_text().splitlines())), recipe, ids


def test_a_training_writes_its_model_and_what_it_is(tmp_path, monkeypatch):
    name = "ladder-16x3-mlp8-tied-tokens320-rate0.02-decay0.3-s4"
    folder, rows, recipe, ids = control(tmp_path, monkeypatch, name)
    own = dataclasses.replace(recipe, tokens=320, peak_rate=0.02, weight_decay=0.3)
    run = train(16, 4, own, ids["train"], ids["validation"], tmp_path / "other", form=Form(3, 8, True))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.config.tie_word_embeddings
    assert all(torch.equal(a, b.half()) for a, b in zip(model.parameters(), run.model.parameters(), strict=True))
    assert len(rows) == 1
    assert {key: rows[0][key] for key in list(rows[0])[:13]} == {
        **{"model": name, "width": "16", "layers": "3", "heads": "1", "mlp": "128", "tied": "1"},
        **{"params_nonembedding": str(sizes(run.model).params_nonembedding), "params_total": str(sizes(run.model).params_total)},
        **{"seed": "4", "peak_rate": "0.02", "weight_decay": "0.3", "step": "10", "tokens": "320"},
    }
    assert float(rows[0]["loss_validation"]) == pytest.approx(run.curve[-1][1], abs=1e-6)
    assert float(rows[0]["loss_test"]) == pytest.approx(
        evaluate(run.model, ids["test"], dataclasses.replace(own, validation_windows=512)), abs=1e-6
    )


def test_weights_on_the_way_become_models_with_their_losses(tmp_path, monkeypatch):
    folder, rows, recipe, ids = control(tmp_path, monkeypatch, "ladder-16-s0", keep=[2, 9, 24])
    assert [(row["model"], row["step"], row["tokens"]) for row in rows] == [
        ("ladder-16-s0-step2", "2", "64"),
        ("ladder-16-s0-step9", "9", "288"),
        ("ladder-16-s0-step24", "24", "768"),
    ]
    for row in rows:
        model = AutoModelForCausalLM.from_pretrained(folder.with_name(row["model"]), dtype="auto")
        assert model.dtype == torch.float16
        assert evaluate(model.float(), ids["validation"], recipe) == pytest.approx(float(row["loss_validation"]), rel=1e-3)
    first, second, last = (float(row["loss_validation"]) for row in rows)
    assert not folder.exists(), "the last step is the trained model"
    assert math.log(300) > first > second > last
