"""KL of a change of weights beside Fisher's quadratic form: dense peers, orders of convergence, tiny steps, named errors."""

import dataclasses

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from geomkit.core.errors import DataError
from geomkit.ladder import training as ladder
from geomkit.laws.resampling import Documents
from geomkit.theory.run import fisher
from geomkit.theory.run.fisher import Row, divergence, exact, measure, pairs, radius, report, variance, weights_of

RECIPE = ladder.Recipe(tokens=16 * 40, vocabulary=12, context=8, batch=2)
IDS = np.random.default_rng(0).integers(12, size=(4, 6))


@pytest.fixture(scope="module")
def model():
    found = ladder.build(16, RECIPE, 0)
    with torch.no_grad():
        for weight in found.parameters():  # an untrained model is all but linear: what there is to see would be rounding
            weight.mul_(3.0)
    return exact(found)


@pytest.fixture(scope="module")
def direction(model):
    return fisher.random_direction(model, np.random.default_rng(1))


def documents(number=4):
    return Documents.draw(np.arange(4) % number, 200, np.random.default_rng(2))


def test_kl_and_variance_have_their_closed_forms():
    draw = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 5, 7)))
    p, q = draw.softmax(-1)
    np.testing.assert_allclose(divergence(*draw), (p * (p / q).log()).sum(-1), rtol=1e-12)
    np.testing.assert_allclose(variance(*draw), (p * draw[1] ** 2).sum(-1) - (p * draw[1]).sum(-1) ** 2, rtol=1e-12)
    assert divergence(draw[0], draw[0] + 3).abs().max() < 1e-15
    assert variance(draw[0], torch.full_like(draw[0], 3)).abs().max() < 1e-15


def test_a_tiny_kl_keeps_its_digits():
    for step in (1e-12, 1e-9, 1e-5, 9.99e-4, 1.001e-3):
        kl = float(divergence(torch.zeros(2, dtype=torch.float64), torch.tensor([step, -step], dtype=torch.float64)))
        exact_kl = step**2 / 2 - step**4 / 12 + step**6 / 45  # ln cosh(step)
        assert kl == pytest.approx(exact_kl, rel=1e-12 if step < 1e-3 else 1e-9, abs=0)


def test_the_product_is_that_of_a_dense_fisher(model, direction):
    key = "gpt_neox.layers.1.attention.dense.weight"
    ids, weight = torch.from_numpy(IDS), dict(model.named_parameters())[key]
    with fisher.Double():
        scores = model(input_ids=ids, use_cache=False).logits.log_softmax(-1)
    dense = torch.zeros(weight.numel(), weight.numel(), dtype=torch.float64)
    for score in scores.flatten(0, 1):
        slopes = torch.stack([torch.autograd.grad(value, weight, retain_graph=True)[0].flatten() for value in score])
        dense += slopes.T @ (score.detach().exp()[:, None] * slopes) / ids.numel()
    delta = {name: value if name == key else torch.zeros_like(value) for name, value in direction.items()}
    step = delta[key].flatten()
    np.testing.assert_allclose(fisher.fisher_product(model, ids, delta)[key].flatten(), dense @ step, rtol=1e-8, atol=1e-12)
    assert measure(model, IDS, delta, [0.1]).quadratic.mean() == pytest.approx(float(step @ dense @ step) / 2 * 0.01, rel=1e-9)


def test_each_sign_errs_in_the_first_order_and_their_mean_in_the_second(model, direction):
    sizes = 1e-4 * 2.0 ** -np.arange(4)
    steps = measure(model, IDS, direction, sizes)
    ratio = [(kl / steps.quadratic).mean(1) - 1 for kl in (steps.forward, steps.backward, (steps.forward + steps.backward) / 2)]
    orders = [np.log2(np.abs(gap[:-1] / gap[1:])) for gap in ratio]
    np.testing.assert_allclose(orders[0], 1, atol=0.05)
    np.testing.assert_allclose(orders[1], 1, atol=0.05)
    np.testing.assert_allclose(orders[2], 2, atol=0.1)
    np.testing.assert_allclose(steps.relative, sizes)


def test_the_ratio_tends_to_one_down_to_1e_8(model, direction):
    steps = measure(model, IDS, direction, [1e-5, 1e-6, 1e-8])
    gaps = np.abs((steps.forward + steps.backward).sum(1) / 2 / steps.quadratic.sum(1) - 1)
    assert gaps[-1] < 1e-5


def test_without_wide_types_tiny_steps_are_lost(model, direction, monkeypatch):
    monkeypatch.setattr(
        fisher.Double, "__torch_function__", lambda self, func, types, args=(), kwargs=None: func(*args, **(kwargs or {}))
    )
    steps = measure(model, IDS, direction, [1e-8])
    assert abs(steps.forward.sum() / steps.quadratic.sum() - 1) > 1e-2


def test_an_architecture_with_narrow_norms_is_kept_wide_too():
    config = LlamaConfig(
        vocab_size=12, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        llama = exact(LlamaForCausalLM(config))
    steps = measure(llama, IDS, fisher.random_direction(llama, np.random.default_rng(1)), [1e-8])
    np.testing.assert_allclose(steps.forward, steps.quadratic, rtol=1e-5)


def test_batches_change_nothing(model, direction):
    one, all_ = (measure(model, IDS, direction, [1e-3], batch) for batch in (1, 4))
    np.testing.assert_allclose(one.forward, all_.forward, rtol=1e-8)


def test_the_order_of_parameters_does_not_matter_and_their_names_do(model, direction):
    backwards = dict(reversed(direction.items()))
    np.testing.assert_array_equal(
        measure(model, IDS, backwards, [0.1]).quadratic, measure(model, IDS, direction, [0.1]).quadratic
    )
    backwards.popitem()
    with pytest.raises(DataError, match="other parameters"):
        measure(model, IDS, backwards, [0.1])


def test_the_gradient_goes_downhill(model):
    ids = torch.from_numpy(IDS)
    step, weights = fisher.gradient_direction(model, IDS, 3), weights_of(model)
    assert fisher.norm(step) == pytest.approx(fisher.norm(weights))

    def loss(size):
        values = fisher.logits(model, fisher.shifted(weights, step, size), ids)[:, :-1]
        return float(torch.nn.functional.cross_entropy(values.flatten(0, 1), ids[:, 1:].flatten()).detach())

    plain = {name: value.requires_grad_() for name, value in weights_of(model).items()}
    value = torch.nn.functional.cross_entropy(fisher.logits(model, plain, ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    slopes = torch.autograd.grad(value, list(plain.values()))
    steepest = -fisher.norm(dict(zip(plain, slopes, strict=True))) * fisher.norm(weights)
    assert (loss(1e-6) - loss(-1e-6)) / 2e-6 == pytest.approx(steepest, rel=1e-4)


def test_a_model_without_gradients_is_named():
    frozen = ladder.build(16, RECIPE, 0).requires_grad_(False)
    with pytest.raises(DataError, match=r"GPTNeoXForCausalLM.*frozen"):
        exact(frozen)
    whole = ladder.build(16, RECIPE, 0)
    whole.lm_head.weight = torch.nn.Parameter(torch.zeros(12, 16, dtype=torch.int8), requires_grad=False)
    with pytest.raises(DataError, match=r"GPTNeoXForCausalLM.*floating-point"):
        exact(whole)


def test_logits_that_are_cut_off_from_the_weights_are_named(model, direction, monkeypatch):
    real = fisher.functional_call

    def cut(*args):
        output = real(*args)
        output.logits = torch.zeros_like(output.logits)
        return output

    monkeypatch.setattr(fisher, "functional_call", cut)
    with pytest.raises(DataError, match="GPTNeoXForCausalLM"):
        measure(model, IDS, direction, [1e-3])
    with pytest.raises(DataError, match="GPTNeoXForCausalLM"):
        fisher.gradient_direction(model, IDS)


def test_pairs_of_steps_are_those_that_were_asked_for():
    found = pairs(4000)
    assert len({start for start, _ in found}) == 8
    assert {(4, 5), (4, 14), (4, 8), (4, 4000), (2000, 2001), (2000, 2010), (2000, 4000)} <= set(found)
    assert all(start < end <= 4000 for start, end in found)


def test_a_trajectory_ends_where_the_ladder_ends_and_gives_rows(tmp_path):
    training = np.cumsum(np.random.default_rng(0).integers(1, 4, 300)) % 12
    fisher.trajectory(16, 0, RECIPE, training, tmp_path / "steps.safetensors", 2)
    states = fisher.read_trajectory(tmp_path / "steps.safetensors")
    assert set(states) == {step for pair in pairs(RECIPE.steps, 2) for step in pair}
    whole = ladder.train(16, 0, RECIPE, training, training[:60], tmp_path / "checkpoint").model
    assert all(torch.equal(value.double(), states[RECIPE.steps][key]) for key, value in whole.named_parameters())


def test_real_training_gives_a_row_for_each_pair_and_sign(monkeypatch):
    net = ladder.build(16, RECIPE, 0)
    before = weights_of(net)
    states = {1: before, 2: fisher.shifted(before, fisher.random_direction(exact(net), np.random.default_rng(5)), 1e-6)}
    monkeypatch.setattr(fisher, "pairs", lambda steps: [(1, 2)])
    rows = fisher.training_rows(net, states, IDS, documents())
    assert [(row.start, row.end, row.sign) for row in rows] == [(1, 2, sign) for sign in ("forward", "backward", "mean")]
    assert all(row.ratio == pytest.approx(1, abs=1e-3) and row.relative == pytest.approx(1e-6, rel=1e-6) for row in rows)


def test_ratios_are_of_sums_and_their_intervals_over_documents():
    quadratic = np.array([[1.0, 2.0, 3.0, 4.0]])
    steps = fisher.Steps(np.array([0.1]), 2 * quadratic, quadratic * [1, 1, 4, 4], quadratic)
    forward, backward, mean = report("random", steps, documents(2))
    assert (forward.ratio, forward.low, forward.high, forward.documents) == pytest.approx((2, 2, 2, 2))
    assert backward.ratio == pytest.approx((1 + 2 + 12 + 16) / 10)
    assert backward.low < backward.ratio < backward.high
    assert mean.kl == pytest.approx((forward.kl + backward.kl) / 2)
    assert np.isnan(report("random", steps, documents(1))[0].low)


def rows_of(ratios, sizes):
    return [Row("random", "mean", s, s**2 * r, s**2, r, np.nan, np.nan, 2) for s, r in zip(sizes, ratios, strict=True)]


def test_the_radius_is_where_the_error_crosses_its_tolerance():
    sizes = 2.0 ** np.arange(-6, 3)
    found = radius(rows_of(1 + sizes**2, sizes))
    assert found.reached
    assert found.relative == pytest.approx(0.1**0.5, rel=1e-9)
    crossing = radius(rows_of([1.0, 1.05, 0.85], [1e-2, 1e-1, 1.0]))
    assert crossing.relative == pytest.approx(10 ** (-1 + 0.15 / 0.2))
    inner = radius(rows_of(1 + sizes**2 / 1e3, sizes))
    assert (inner.reached, inner.relative) == (False, 4.0)
    with pytest.raises(DataError, match="smallest"):
        radius(rows_of(2 + sizes, sizes))
    with pytest.raises(DataError, match="one direction"):
        radius([*rows_of([1], [1]), dataclasses.replace(rows_of([1], [1])[0], sign="forward")])
