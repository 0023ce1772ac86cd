"""Dumps and spectra in parts: the same bytes whatever their number, and parts end between documents."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomkit.errors import DataError, RefusalError
from geomkit.lm import dumping
from geomkit.lm.capture import batch_groups
from geomkit.lm.cutting import tokenizer_sha256
from geomkit.lm.dumping import dump_model, share_of
from geomkit.lm.models import load_tokenizer
from geomkit.store.dumps import Dump, State, write_dump
from geomkit.store.parts import DumpParts, merge_dumps
from geomkit.store.spectra import Spectra
from geomkit.store.spectra_parts import merge_spectra
from geomkit.store.texts import Sample, Texts, write_texts
from geomkit.studies.spectra import decompose_dumps

pytestmark = pytest.mark.slow

PARTS = (1, 2, 7)
DOCUMENTS = [3, 1, 2, 5, 1, 1, 2]
"""Texts of each document: with batches of 36 tokens three texts of 12 fit, so that the fourth document takes two batches."""
GAIN = {"n": 12, "eps2": 0.5}
MODES, LENGTHS, VARIANTS, DRAWN = ("unit", "centre-unit"), (4, 12), ("trained", "shuffled", "untrained-0"), ("gaussian",)


def sample_of(texts: Sequence[int], tokens: int = 12, seed: int = 0) -> Sample:
    """Documents of so many texts of random tokens, the last text of each shorter."""
    names = [f"d{number}" for number, count in enumerate(texts) for _ in range(count)]
    draw = np.random.default_rng(seed)
    ends = np.cumsum(texts) - 1
    ids = [draw.integers(1, 300, tokens - 5 * (text in ends)).astype(np.int32) for text in range(len(names))]
    sizes = [len(own) for own in ids]
    return Sample(ids, [], Texts(names, sizes, sizes))


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(6, 30)), min_size=1, max_size=20), st.integers(6, 200), st.integers(1, 30)
)
def test_parts_are_runs_of_batches_and_end_between_documents(documents, tokens, parts):
    names = [f"d{number}" for number, (count, _) in enumerate(documents) for _ in range(count)]
    sizes = [size for count, size in documents for _ in range(count)]
    sample = Sample([np.zeros(size, np.int32) for size in sizes], [], Texts(names, sizes, sizes))
    groups = batch_groups(sample, tokens)
    whole = [run for group in groups for run in group]
    assert [text for run in whole for text in run] == list(range(len(names)))
    for group in groups:
        padded = max(sizes[group[0].start : group[-1].stop]) * (group[-1].stop - group[0].start)
        alone = len({names[text] for run in group for text in run}) == 1
        assert (padded <= tokens and len(group) == 1) or alone
    shares = [share_of(groups, sample.texts, f"{number + 1}-of-{parts}") for number in range(parts)]
    assert [batch for share in shares for batch in share.batches] == list(range(len(whole)))
    assert [name for share in shares for name in share.texts.document] == names
    assert [size for share in shares for size in share.sizes or []] == [len(run) for run in whole]
    owners = [{*share.texts.document} for share in shares]
    assert sum(map(len, owners)) == len(documents), "no document is in two parts"
    assert owners[0]
    largest = max(sum(sizes[group[0].start : group[-1].stop]) for group in groups)
    assert all(sum(share.texts.tokens) < sum(sizes) / parts + largest for share in shares)


Runs = dict[int, Path]


def dump(folder: Path, model: Path, texts: Path, objective: str, part: str | None, sublayers: bool = True) -> list[str]:
    """Dumps a part, or all, of the texts, in batches of 36 tokens."""
    outputs = [str(folder / (part or "whole") / "m/c" / f"{variant}.h5") for variant in VARIANTS]
    how = {"layers": "all", "sublayers": sublayers, "dtype": "float32", "compression": None}
    compute = {"device": "cpu", "dtype": "float32", "batch_tokens": 36}
    dump_model(model, texts, outputs, how, compute, 0, {"source": "test"}, False, objective, part=part)
    return outputs


def store(path: Path, tiny: Callable[[str], Path], architecture: str, sample: Sample) -> Path:
    facts = {
        "model": "m",
        "tokenizer sha256": tokenizer_sha256(load_tokenizer(tiny(architecture))),
        "corpus sha256": "c",
        "seed": 0,
    }
    write_texts(path, sample, np.arange(300), facts)
    return path


def spectra(dumps: Sequence[str], output: Path, part: str | None = None, gain: Any = GAIN) -> str:
    asked = {
        "whitened": "all",
        "sinks": {"thresholds": [10, 2], "eps2": 0.5, "metrics": ["rate_distortion_ratio", "erank_covariance"]},
    }
    decompose_dumps(dumps, output, MODES, LENGTHS, DRAWN, gain, 0, part=part, **asked)
    return str(output)


@pytest.fixture(scope="module", params=[("gpt-neox", "causal"), ("bert", "masked")], ids=lambda found: found[1])
def runs(request: pytest.FixtureRequest, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """By number of parts a folder with merged dumps and spectra, and those of a run without parts at 0."""
    architecture, objective = request.param
    top = tmp_path_factory.mktemp("runs")
    texts = store(top / "texts.h5", tiny, architecture, sample_of(DOCUMENTS))
    folders = {parts: top / str(parts) for parts in (0, *PARTS)}
    whole = dump(top / "0", tiny(architecture), texts, objective, None)
    for path in whole:
        Path(path).rename(top / "0" / Path(path).name)
    spectra([str(top / "0" / f"{variant}.h5") for variant in VARIANTS], top / "0/c.h5")
    for parts in PARTS:
        names = [f"{number + 1}-of-{parts}" for number in range(parts)]
        made = [dump(top / str(parts), tiny(architecture), texts, objective, name) for name in names]
        for own in zip(*made, strict=True):
            merge_dumps(own, top / str(parts) / Path(own[0]).name, "float32", None)
        every = [path for own in zip(*made, strict=True) for path in own]
        decomposed = [spectra(every, top / str(parts) / name / "m/c.h5", name) for name in names]
        merge_spectra(decomposed, top / str(parts) / "c.h5", MODES, LENGTHS, VARIANTS, DRAWN)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", [*VARIANTS, "c"])
def test_merged_parts_have_the_bytes_of_one_that_was_never_parted(runs, parts, name):
    assert (runs[parts] / f"{name}.h5").read_bytes() == (runs[0] / f"{name}.h5").read_bytes()


def test_parts_without_texts_are_files_of_their_own(runs):
    """Six groups of documents in seven parts, whose tokens are those of the texts."""
    found = []
    for number in range(7):
        with Dump(runs[7] / f"{number + 1}-of-7/m/c/trained.h5") as part:
            found.append(sum(part.texts.tokens))
            assert bool(part.states) == bool(part.texts.tokens)
    with Dump(runs[7] / "trained.h5") as merged:
        assert sum(found) == sum(merged.texts.tokens)
    assert 0 in found[1:]
    with pytest.raises(DataError, match="no texts in any part"):
        DumpParts([runs[7] / f"{found.index(0) + 1}-of-7/m/c/trained.h5"])


def test_states_are_shared_out_among_the_jobs_that_decompose_them(runs):
    shares = []
    for number in range(2):
        with Spectra(runs[2] / f"{number + 1}-of-2/m/c.h5") as part:
            shares.append({(variant, mode, state) for variant in part.variants for mode, state, _ in part.corpus(variant)})
    assert abs(len(shares[0]) - len(shares[1])) <= len(MODES)
    with Spectra(runs[0] / "c.h5") as whole:
        every = {(variant, mode, state) for variant in whole.variants for mode, state, _ in whole.corpus(variant)}
    assert shares[0] | shares[1] == every
    assert not shares[0] & shares[1]


class Killed(BaseException):
    """What a job does not live to handle."""


@pytest.mark.slow
def test_a_part_that_was_killed_goes_on_after_its_last_batch(runs, tiny, tmp_path, monkeypatch):
    with Dump(runs[2] / "trained.h5") as merged:
        architecture = "bert" if merged.objective == "masked" else "gpt-neox"
        objective = merged.objective
    ran: list[int] = []
    kill = 2

    def counted(*arguments: Any, **options: Any) -> Any:
        ran.append(0)
        for batch in capture(*arguments, **options):
            if len(ran) == 1 and ran[0] == kill:
                raise Killed
            ran[-1] += 1
            yield batch

    capture = dumping.capture
    monkeypatch.setattr(dumping, "capture", counted)
    monkeypatch.setattr(dumping, "WORTH", 0)
    texts = runs[0].parent / "texts.h5"
    with pytest.raises(Killed):
        dump(tmp_path, tiny(architecture), texts, objective, "1-of-2")
    assert not list(tmp_path.rglob("*.h5"))
    outputs = dump(tmp_path, tiny(architecture), texts, objective, "1-of-2")
    assert ran[0] == kill
    assert ran[1] == ran[2] - kill, "the trained model goes on, and the next variant runs all batches"
    for path in outputs:
        assert Path(path).read_bytes() == (runs[2] / "1-of-2/m/c" / Path(path).name).read_bytes()
    assert not list(tmp_path.rglob("*.batches"))


def test_a_refused_model_leaves_refused_files_in_every_part_and_in_what_is_merged(tiny, tmp_path):
    texts = store(tmp_path / "texts.h5", tiny, "bert", sample_of([2, 1, 2]))
    made = [dump(tmp_path, tiny("bert"), texts, "causal", f"{number}-of-2")[:1] for number in (1, 2)]
    for path, *_ in made:
        with pytest.raises(RefusalError, match="reads in both directions"):
            Dump(Path(path))
    every = [path for own in made for path in own]
    merge_dumps(every, tmp_path / "trained.h5", "float32", None)
    merge_spectra(
        [spectra(every, tmp_path / name / "m/c.h5", name) for name in ("1-of-2", "2-of-2")],
        *(tmp_path / "c.h5", MODES, LENGTHS, VARIANTS, DRAWN),
    )
    for kind, path in ((Dump, "trained.h5"), (Spectra, "c.h5")):
        with pytest.raises(RefusalError, match="reads in both directions"):
            kind(tmp_path / path)


def test_parts_of_other_runs_are_not_taken_for_parts_of_one(tmp_path):
    for number, seed in enumerate((0, 1)):
        with write_dump(tmp_path / f"{number}.h5", Texts(["a"], [2], [2]), {"seed": seed}, {}, "float32", None) as writer:
            writer.append(np.zeros(2), np.zeros(2), {State(0): np.ones((2, 3), np.float32)})
    with pytest.raises(DataError, match=r"1\.h5: differs from .*0\.h5 in seed, .* remove both"):
        DumpParts([tmp_path / "0.h5", tmp_path / "1.h5"])
