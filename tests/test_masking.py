"""Models that read in both directions: their tokens' surprisal against each token masked by hand, and what is absent of them."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from geomkit.core.config import ModelSpec
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.state import State
from geomkit.models.capture import Recorder, capture
from geomkit.models.masking import Masking, masking
from geomkit.models.probe import probe_model
from geomkit.models.stream import reading_attributes, runs, runs_by_name
from geomkit.states.decompose import decompose
from geomkit.states.dumping import dump_states
from geomkit.states.dumps import Dump, stored
from geomkit.states.refusals import refused_files
from geomkit.states.texts import Sample, StoredTexts, Texts, write_texts
from geomkit.studies.components.analyse import summarise_components
from geomkit.studies.components.run import measure_components
from geomkit.studies.entropy.analyse import measure_spectra
from geomkit.studies.tokens.gains import measure_gains
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.experiments import SublayerEffect
from geomkit.tables.rows import read_csv
from geomkit.tables.tidy import read_columns

FIRST, LAST, MASK = 297, 298, 299
MASKS = Masking(MASK, [LAST])
SPEC = ModelSpec(device="cpu")
BATCH = 64
GAIN = {"n": 12, "eps2": 0.5}
METRICS = ["rate_distortion_ratio", "erank_covariance"]
ENCODERS = ("bert", "modernbert")


def sample(*lengths: int) -> Sample:
    draw = np.random.default_rng(0)
    ids = [draw.integers(1, FIRST, n).astype(np.int32) for n in lengths]
    return Sample(ids, [FIRST], Texts([f"d{k}" for k in range(len(ids))], list(lengths), list(lengths)))


def alone(model, texts: Sample, text: int):
    """Output of one text with its ends, without padding."""
    import torch

    ids = torch.tensor([[FIRST, *texts.ids[text].tolist(), LAST]])
    with torch.no_grad():
        return model(input_ids=ids, output_hidden_states=True), ids


@pytest.mark.parametrize("architecture", ENCODERS)
@pytest.mark.parametrize("tokens", [1, 30, 4096])
def test_each_token_is_masked_alone_and_its_text_is_read_whole(load, architecture, tokens):
    import torch

    model, texts = load(architecture), sample(6, 11, 3)
    parts = list(capture(Recorder(model, [0, 1, 2, 3], False), texts, tokens, MASKS))
    surprisal = np.split(np.concatenate([part.surprisal for part in parts]), [6, 17])
    states = np.split(np.concatenate([part.states[State(3)] for part in parts]), [6, 17])
    np.testing.assert_array_equal(np.concatenate([part.ids for part in parts]), np.concatenate(texts.ids))
    for text in range(3):
        output, ids = alone(model, texts, text)
        np.testing.assert_allclose(states[text], output.hidden_states[-1][0, 1:-1].numpy(), atol=2e-5)
        for place, token in enumerate(texts.ids[text].tolist(), 1):
            hidden = ids.clone()
            hidden[0, place] = MASK
            with torch.no_grad():
                expected = -model(input_ids=hidden).logits[0, place].double().log_softmax(-1)[token]
            assert surprisal[text][place - 1] == pytest.approx(float(expected), rel=1e-4)


def test_states_alone_take_one_pass_over_each_batch(load, monkeypatch):
    model, texts = load("bert"), sample(6, 11, 3)
    scored = list(capture(Recorder(model, [1, 3], False), texts, 30, MASKS))
    monkeypatch.setattr("geomkit.models.capture.masked_surprisals", lambda *_: pytest.fail("tokens were masked"))
    found = list(capture(Recorder(model, [1, 3], False), texts, 30, MASKS, scored=False))
    assert np.isnan(np.concatenate([part.surprisal for part in found])).all()
    for one, other in zip(found, scored, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        for state in other.states:
            np.testing.assert_array_equal(one.states[state], other.states[state])


@pytest.mark.parametrize(
    ("objective", "prefix", "without"), [("masked", [], True), ("masked", [FIRST], False), ("causal", [], False)]
)
def test_the_bytes_of_a_masked_model_s_first_token_are_known_behind_a_prefix_alone(objective, prefix, without):
    stored = StoredTexts(
        Sample([np.arange(3)], prefix, Texts(["a"], [3], [9])), np.ones(3), {"special tokens": "split", "seed": 1}
    )
    found = reading_attributes(stored, objective)
    assert found["special tokens"] == "split"
    assert ("no bytes" in found) == without


def test_masking_takes_what_a_tokenizer_puts_behind_a_text(mask_tokenizer, tokenizer):
    assert masking(mask_tokenizer) == MASKS
    with pytest.raises(DataError, match="no mask token"):
        masking(tokenizer)


def test_without_the_objective_a_model_that_reads_in_both_directions_is_refused(tiny, tmp_path):
    from geomkit.models.load import load_model

    model = load_model(ModelSpec(tiny("bert"), device="cpu"))
    with pytest.raises(RefusalError, match=r"BertLMHeadModel: .* it reads in both directions"):
        next(capture(Recorder(model, [1], False), sample(8, 8), 64))


def test_a_decoder_is_no_masked_model(tiny):
    from geomkit.models.load import load_model

    with pytest.raises(DataError, match="no masked language model could be loaded"):
        load_model(ModelSpec(tiny("llama"), device="cpu", objective="masked"))


@pytest.fixture
def dumped(tiny, tmp_path, mask_tokenizer, tokenizer):
    """Through the stages: texts, dump, spectra."""
    from geomkit.models.cutting import tokenizer_sha256

    def run(architecture: str, objective: str = "causal") -> Path:
        masked = objective == "masked"
        texts, draw = tmp_path / "texts.h5", np.random.default_rng(0)
        ids = [draw.integers(1, FIRST, 12).astype(np.int32) for _ in range(6)]
        found = Sample(ids, [FIRST] if masked else [], Texts([f"d{k}" for k in range(6)], [12] * 6, [12] * 6))
        own = tokenizer_sha256(mask_tokenizer if masked else tokenizer)
        attributes = {"model": "m", "tokenizer sha256": own, "corpus sha256": "0", "seed": 0}
        write_texts(texts, found, np.ones(300, dtype=np.int64), attributes)
        variants = ["trained", "shuffled", "untrained-0"]
        dumps = [tmp_path / f"dumps/{architecture}/c/{name}.h5" for name in variants]
        for path in dumps:
            path.parent.mkdir(parents=True, exist_ok=True)
        states = partial(runs, tiny(architecture), texts, architecture, SPEC._replace(objective=objective), BATCH, 0)
        dump_states(states, dumps, {"dtype": "float32", "compression": None}, variants)
        modes, lengths = ["unit", "centre-unit"], [8, 12]
        decompose(partial(stored, dumps), spectra(dumps[0]), modes, lengths, variants, ["gaussian"], GAIN, 0)
        return dumps[0]

    return run


def spectra(dump: Path) -> Path:
    path = dump.parents[3] / f"spectra/{dump.parent.parent.name}/c.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def absent(table: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(pq.read_schema(table).metadata[b"absent"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mamba", "mixtral", "qwen2-moe", "bert", "modernbert"])
def test_the_stages_run_on_other_architectures(dumped, tiny, tmp_path, architecture):
    """Entropies within their bounds at every layer, and of causal models the gains of all tokens."""
    objective = "masked" if architecture in ENCODERS else "causal"
    path = dumped(architecture, objective)
    with Dump(path) as dump:
        assert dump.objective == objective
        assert np.isfinite(dump.surprisal(0)).tolist() == [objective == "masked"] + [True] * 11
    entropy = tmp_path / f"entropy/{architecture}/c.parquet"
    measure_spectra(spectra(path), entropy, "f", None, None, {"eps2": 0.5})
    rows = read_columns(entropy, ["layer", "variant", "metric", "value", "text"])
    assert {row["layer"] for row in rows if row["metric"] == "erank_covariance"} == {0, 1, 2, 3}
    assert {row["variant"] for row in rows} == {"trained", "shuffled", "untrained-0", "gaussian"}
    assert all(0 <= row["value"] <= 1 + 1e-9 for row in rows if row["metric"] == "rate_distortion_ratio")

    table, summary = tmp_path / f"tokens/{architecture}/c.parquet", tmp_path / f"tokens/{architecture}/c.csv"
    measure_gains(spectra(path), table, summary, "f", None, 0)
    gains = [row for row in read_columns(table, ["metric", "value"]) if row["metric"] == "information_gain"]
    metrics = {row.metric for row in read_csv(summary, TokenScore)}
    assert "ridge_error" in metrics
    if objective == "causal":
        assert len(gains) == 72 * 4
        assert "gain_surprisal" in metrics
    else:
        assert not gains
        assert "gain_surprisal" not in metrics
        assert "masked" in absent(table)["information gain"]

    components = tmp_path / f"components/{architecture}/c.parquet"
    measure_components(
        tiny(architecture),
        tmp_path / "texts.h5",
        components,
        "f",
        None,
        4,
        GAIN,
        SPEC._replace(objective=objective),
        BATCH,
        metrics=METRICS,
    )
    summarise_components(components, tmp_path / "components.csv", 0)
    effects = read_csv(tmp_path / "components.csv", SublayerEffect)
    assert {row.layer for row in effects if row.kind == "after" and row.sublayer == "block"} >= {0, 1, 2}
    ablated = {row.sublayer for row in effects if row.kind == "mean" and row.metric == "loss"}
    if architecture in ("mixtral", "qwen2-moe"):
        assert ablated >= {"attention", "mlp"}
        assert absent(components) == {}
    else:
        assert not ablated
        why = {"mamba": "no table of the sublayers of 'mamba'"}.get(architecture, "it predicts masked tokens")
        assert why in absent(components)["ablations"]


def test_losses_along_a_training_of_masked_models_are_those_of_masked_tokens(dumped, tiny, tmp_path):
    from geomkit.studies.training.measure import measure_training

    path, table = dumped("bert", "masked"), tmp_path / "trajectory/bert/c.parquet"
    states = partial(
        runs_by_name, tmp_path / "texts.h5", SPEC._replace(objective="masked"), BATCH, 0, {"layers": "last", "sublayers": False}
    )
    measure_training(
        states, [tiny("bert")], {"bert": None}, table, tmp_path / "resamples.parquet", family="f", variants=["trained"], drawn=[],
        length=12, normalisation="unit", metrics=["erank_covariance"], parameters={}, resamples=2, seed=0,
    )  # fmt: skip
    with Dump(path) as dump:
        expected = [dump.surprisal(text).mean() for text in range(6)]
    losses = [row["value"] for row in read_columns(table, ["metric", "value"]) if row["metric"] == "loss"]
    assert losses == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("architecture", "why"), [("bert", "objective is masked"), ("mamba", "MambaForCausalLM: ")])
def test_a_model_without_attention_to_the_past_is_not_probed(dumped, tiny, tmp_path, architecture, why):
    path = dumped(architecture, "masked" if architecture == "bert" else "causal")
    probe = tmp_path / f"probes/{architecture}/c.h5"
    selection = {"layers": ["last"], "texts": 2, "targets": 1, "budgets": [1, 2], "removed": 0}
    probe_model(tiny(architecture), spectra(path), probe, selection, ["recency"], SPEC, BATCH, 0)
    from geomkit.states.probes import Probe

    with pytest.raises(RefusalError, match=why):
        Probe(probe)


def test_stages_behind_a_refused_model_are_empty_tables_with_the_reason(tiny, tmp_path):
    """Removals, sinks, components and semantics, as entropy and tokens do."""
    from geomkit.studies.removal.analyse import measure_removals
    from geomkit.studies.removal.run import remove_tokens
    from geomkit.studies.sinks.analyse import measure_without_sinks
    from geomkit.tables.experiments import Removal, SinkEffect
    from geomkit.tables.tidy import EVERYTHING

    dump, probe, removals = (tmp_path / f"{stage}/m/c.h5" for stage in ("dumps", "probes", "removals"))
    with refused_files([dump, probe]):
        raise RefusalError("Both: ways")
    remove_tokens(tiny("bert"), probe, removals, {"fractions": [0.5]}, [], SPEC, 0)
    for name, record, measured in (
        ("ablation", Removal, lambda *out: measure_removals(removals, probe, *out, "f", None, 0)),
        ("sinks", SinkEffect, lambda *out: measure_without_sinks(dump, *out, "f", None, 0)),
    ):
        table, summary = tmp_path / f"{name}.parquet", tmp_path / f"{name}.csv"
        measured(table, summary)
        assert absent(table) == {EVERYTHING: "Both: ways"}
        assert read_csv(summary, record) == []
    texts = tmp_path / "texts.h5"
    write_texts(texts, sample(8, 8), np.ones(300, dtype=np.int64), {"model": "m"})
    table = tmp_path / "components/m/c.parquet"
    measure_components(tiny("bert"), texts, table, "f", None, 2, GAIN, SPEC, BATCH, metrics=METRICS)
    summarise_components(table, tmp_path / "components.csv", 0)
    assert "it reads in both directions" in absent(table)[EVERYTHING]
    assert read_csv(tmp_path / "components.csv", SublayerEffect) == []
