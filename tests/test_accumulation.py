"""Spectra from blocks of texts against those of the whole at once."""

from itertools import pairwise

import numpy as np
import pytest

from geomkit.measures.accumulation import StateSpectra
from geomkit.measures.spectra import is_centred, modes, normalise, spectrum

SIZES = {"a": [7, 5], "b": [9], "c": [3, 8, 8]}
D, LENGTHS = 6, [4, 8]


@pytest.fixture
def rows() -> np.ndarray:
    draw = np.random.default_rng(1)
    return draw.standard_normal((sum(map(sum, SIZES.values())), D)) @ np.diag(np.arange(1, D + 1)) + 0.5


def accumulated(rows: np.ndarray, block: int) -> tuple[StateSpectra, list[dict]]:
    found, documents, start = StateSpectra(D, list(modes), LENGTHS, rows.mean(axis=0)), [], 0
    for sizes in SIZES.values():
        for first in range(0, len(sizes), block):
            part = sizes[first : first + block]
            found.add(rows[start : start + sum(part)], part)
            start += sum(part)
        documents.append(found.end_document())
    return found, documents


@pytest.mark.parametrize("mode", list(modes))
def test_the_corpus_is_that_of_all_rows_at_once(rows, mode):
    found = dict(accumulated(rows, 1)[0].corpus())[mode]
    expected = spectrum(normalise(rows, mode), centred=is_centred(mode))
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-12)
    assert (found.n, found.d) == (len(rows), D)


@pytest.mark.parametrize("mode", list(modes))
@pytest.mark.parametrize("n", LENGTHS)
def test_a_text_is_measured_by_its_first_tokens_and_its_own_mean(rows, mode, n):
    found = {(name, one.n): one for name, one in accumulated(rows, 2)[0].texts()}[mode, n]
    starts = np.concatenate([[0], np.cumsum([size for sizes in SIZES.values() for size in sizes])])
    texts = [rows[first : first + n] for first, last in pairwise(starts) if last - first >= n]
    expected = spectrum(normalise(np.stack(texts), mode), centred=is_centred(mode))
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-12, atol=1e-15)


def test_blocks_do_not_matter_to_texts(rows):
    for one, other in zip(accumulated(rows, 1)[0].texts(), accumulated(rows, 3)[0].texts(), strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1].eigenvalues, other[1].eigenvalues)


def test_sums_of_documents_add_up_to_the_corpus(rows):
    found, documents = accumulated(rows, 2)
    for mode in list(modes):
        assert [own[mode].n for own in documents] == [sum(sizes) for sizes in SIZES.values()]
        np.testing.assert_allclose(sum(own[mode].total for own in documents), found.whole[mode].total, rtol=1e-12)


def test_a_length_that_no_text_has_is_left_out(rows):
    found = StateSpectra(D, ["unit"], [50], rows.mean(axis=0))
    found.add(rows[:12], SIZES["a"])
    assert list(found.texts()) == []
