"""The file of eigenvalues: what goes in comes out, and documents add up to the corpus."""

import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from geomkit.core.errors import DataError
from geomkit.core.state import State
from geomkit.measures.spectra import CovarianceAccumulator, normalise, spectrum
from geomkit.states.dumps import write_dump
from geomkit.states.spectra import Spectra, SpectraWriter, write_spectra
from geomkit.states.texts import Texts

TEXTS = Texts(["a", "a", "naïve 27", "c"], [8, 8, 5, 12], [31, 30, 22, 40])
ROWS = {"a": (0, 16), "naïve 27": (16, 21), "c": (21, 33)}
ATTRIBUTES = {"depth": 2, "params_total": 1234, "model source": "bundled", "schema": 3}
STATES = (State(0), State(2, "mlp"), State(2), State(11))
MODES = ("unit", "raw")
SURPRISAL = np.where(np.isin(np.arange(33), [0, 8, 16, 21]), np.nan, np.arange(33) / 4).astype(np.float32)
"""The first token of each text has none."""
LENGTHS = {4: [0, 1, 2, 3], 8: [0, 1, 3]}
"""Texts that are long enough for each length."""


def cloud(variant: str, state: State) -> np.ndarray:
    """All token vectors of a state; the embedding is narrower."""
    return np.random.default_rng([len(variant), *state.path.encode()]).standard_normal((33, 5 if state.layer == 0 else 6))


def expected(variant: str, state: State, mode: str, n: int | None = None):
    """Spectra of the texts' first n tokens, or of all tokens."""
    rows, first = normalise(cloud(variant, state), mode), np.concatenate([[0], np.cumsum(TEXTS.tokens)])
    return spectrum(rows) if n is None else spectrum(np.stack([rows[first[text] : first[text] + n] for text in LENGTHS[n]]))


def sums(variant: str, state: State, mode: str) -> list[CovarianceAccumulator]:
    rows = normalise(cloud(variant, state), mode)
    return [CovarianceAccumulator(rows.shape[1]).update(rows[slice(*where)]) for where in ROWS.values()]


def fill(writer: SpectraWriter) -> None:
    for variant in ("trained", "gaussian"):
        for state in STATES:
            for mode in MODES:
                writer.corpus(variant, mode, state, expected(variant, state, mode))
                for n in LENGTHS:
                    writer.texts(variant, mode, state, expected(variant, state, mode, n))
                if variant == "trained" and state.layer == 2:
                    for document, part in enumerate(sums(variant, state, mode)):
                        writer.document(variant, mode, state, document, part)
    for state in STATES:
        writer.gains("trained", state, np.split(cloud("trained", state)[:, 0], [8, 21]))
    writer.tokens("trained", [np.arange(33)], np.split(SURPRISAL, 3))


def write(path: Path) -> Path:
    absent = {"n = 64": "the longest text has 12 tokens"}
    with write_spectra(path, TEXTS, ATTRIBUTES, absent) as writer:
        fill(writer)
        absent["sublayer"] = "blocks differ"
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "model" / "corpus.h5")


@pytest.mark.parametrize("state", STATES)
def test_a_path_names_its_state(state):
    assert State.at(state.path) == state


def test_a_corpus_of_texts_that_are_all_too_short_has_no_texts_but_itself(tmp_path):
    with write_spectra(tmp_path / "c.h5", TEXTS, ATTRIBUTES, {"n = 64": "the longest text has 12 tokens"}) as writer:
        writer.corpus("trained", "unit", State(2), expected("trained", State(2), "unit"))
    with Spectra(tmp_path / "c.h5") as file:
        assert list(file.texts("trained")) == []
        assert [(mode, state) for mode, state, _ in file.corpus("trained")] == [("unit", State(2))]
        assert file.absent == {"n = 64": "the longest text has 12 tokens"}


def test_texts_attributes_and_what_is_absent_are_read(path):
    with Spectra(path) as file:
        assert file.text_list == TEXTS
        assert file.attributes == ATTRIBUTES
        assert file.absent == {"n = 64": "the longest text has 12 tokens", "sublayer": "blocks differ"}
        assert file.variants == ["gaussian", "trained"]


@pytest.mark.parametrize("variant", ["trained", "gaussian"])
def test_spectra_of_texts_are_read_for_every_mode_state_and_length(path, variant):
    with Spectra(path) as file:
        found = {(mode, state, each.n): each for mode, state, each in file.texts(variant)}
    assert found.keys() == {(mode, state, n) for mode in MODES for state in STATES for n in LENGTHS}
    for (mode, state, n), each in found.items():
        whole = expected(variant, state, mode, n)
        assert (each.n, each.d) == (whole.n, whole.d)
        np.testing.assert_array_equal(each.eigenvalues, whole.eigenvalues)


@pytest.mark.parametrize("variant", ["trained", "gaussian"])
def test_spectra_of_the_corpus_are_read(path, variant):
    with Spectra(path) as file:
        found = {(mode, state): each for mode, state, each in file.corpus(variant)}
    assert found.keys() == {(mode, state) for mode in MODES for state in STATES}
    for (mode, state), each in found.items():
        whole = expected(variant, state, mode)
        assert (each.n, each.d) == (33, whole.d)
        np.testing.assert_array_equal(each.eigenvalues, whole.eigenvalues)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", [State(2), State(2, "mlp")])
def test_documents_come_back_as_they_were(path, mode, state):
    with Spectra(path) as file:
        found = file.documents("trained", mode, state)
    assert [part.n for part in found] == [16, 5, 12]
    for part, whole in zip(found, sums("trained", state, mode), strict=True):
        np.testing.assert_allclose(part.total, whole.total, rtol=1e-14, atol=1e-14)
        np.testing.assert_array_equal(part.total, part.total.T)


@pytest.mark.parametrize("mode", MODES)
def test_documents_add_up_to_the_corpus(path, mode):
    with Spectra(path) as file:
        total = CovarianceAccumulator(6)
        for part in file.documents("trained", mode, State(2)):
            total.merge(part)
        corpus = next(each for found, state, each in file.corpus("trained") if (found, state) == (mode, State(2)))
    assert total.n == corpus.n
    np.testing.assert_allclose(total.spectrum().eigenvalues, corpus.eigenvalues, rtol=1e-12)


def test_documents_are_listed_once_in_the_order_of_the_texts(path):
    with h5py.File(path) as file:
        assert file["documents/name"].asstr()[:].tolist() == ["a", "naïve 27", "c"]
        assert file["documents/tokens"][:].tolist() == [16, 5, 12]
        assert file["trained/documents/unit/hidden/2"].shape == (3, 21)


def test_documents_may_be_written_in_any_order(tmp_path):
    with write_spectra(tmp_path / "x.h5", TEXTS, ATTRIBUTES, {}) as writer:
        for document in (2, 0, 1):
            writer.document("trained", "raw", State(2), document, sums("trained", State(2), "raw")[document])
    with Spectra(tmp_path / "x.h5") as file:
        for part, whole in zip(file.documents("trained", "raw", State(2)), sums("trained", State(2), "raw"), strict=True):
            assert part.n == whole.n
            np.testing.assert_allclose(part.total, whole.total, rtol=1e-14, atol=1e-14)


def test_surprisal_is_there_for_what_a_model_was_run_on(path):
    with Spectra(path) as file:
        assert file.surprisal("gaussian") is None
        nats, tokens = file.surprisal("trained")
    np.testing.assert_array_equal(nats, [sum(range(first, last)) / 4 for first, last in ((1, 8), (9, 16), (17, 21), (22, 33))])
    np.testing.assert_array_equal(tokens, [7, 7, 4, 11])


def test_gains_and_tokens_come_out_as_they_went_in(path):
    with Spectra(path) as file:
        gains = dict(file.gains("trained"))
        assert gains.keys() == set(STATES)
        for state, values in gains.items():
            np.testing.assert_array_equal(values, cloud("trained", state)[:, 0])
        assert not list(file.gains("gaussian"))
        np.testing.assert_array_equal(file.tokens("trained"), [np.arange(33), SURPRISAL])
        with pytest.raises(DataError, match="/gaussian/tokens/id is not there"):
            file.tokens("gaussian")


def test_eigenvalues_carry_checksums(path):
    def check(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith(("texts/", "documents/")):
            assert item.fletcher32, name
            checked.append(name)

    checked: list[str] = []
    with h5py.File(path) as file:
        file.visititems(check)
    assert len(checked) == 2 * 4 * 2 * 3 + 2 * 2 + 4 + 2


def test_damage_is_found(path):
    whole = expected("trained", State(2), "unit").eigenvalues
    content = path.read_bytes()
    place = content.index(whole.tobytes())
    path.write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])
    with Spectra(path) as file, pytest.raises(DataError, match=r"corpus\.h5: /trained/corpus/unit/hidden/2 .*damaged"):
        list(file.corpus("trained"))


def test_written_twice_it_has_the_same_bytes(path, tmp_path):
    time.sleep(1.1)  # HDF5 counts time in seconds
    assert write(tmp_path / "again.h5").read_bytes() == path.read_bytes()


def interrupted(path: Path) -> None:
    with write_spectra(path, TEXTS, ATTRIBUTES, {}) as writer:
        fill(writer)
        raise KeyboardInterrupt


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"", b"not HDF5"])
def test_what_is_not_hdf5_is_a_data_error_that_names_the_file(tmp_path, content):
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.h5: not a readable HDF5 file"):
        Spectra(tmp_path / "x.h5")


def test_another_schema_is_refused(path):
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 1
    with pytest.raises(DataError, match=r"corpus\.h5: not a file of eigenvalues of schema 3; remove it and run again"):
        Spectra(path)


def test_a_dump_is_no_file_of_eigenvalues(tmp_path):
    with write_dump(tmp_path / "x.h5", Texts(["a"], [1], [0]), {}, {}, "float32", None, [1]) as writer:
        writer.append(np.array([1]), np.array([np.nan]), {State(1): np.ones((1, 2))})
    with pytest.raises(DataError, match=r"x\.h5: not a file of eigenvalues"):
        Spectra(tmp_path / "x.h5")
