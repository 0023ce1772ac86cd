"""Lengths that follow the width: what isotropic rows show, and what is planted beside them."""

from functools import partial

import numpy as np
from dumped import spectra_of

from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.verdicts import Kind
from geomkit.states.dumps import stored, write_dump
from geomkit.states.texts import Texts
from geomkit.studies.proportional_length.analyse import follow_model, judge_following
from geomkit.studies.size_laws.rows import FollowedVerdict
from geomkit.tables.rows import read_csv

WIDTHS = (8, 12, 16, 24, 32)
TOKENS, TEXTS = 64, 12
DOCUMENTS = [f"d{text // 2}" for text in range(TEXTS)]


def judged(folder, decay: float = 0.0, tokens: int = TOKENS) -> list[FollowedVerdict]:
    """Gaussian rows; with a decay, narrower models' coordinates shrink the faster the narrower they are."""
    paths = []
    for width in WIDTHS:
        path = folder / f"m-{width}" / "corpus" / "trained.h5"
        paths.append(path)
        attributes = {"depth": 1, "params_nonembedding": width**2, "params_total": width**2, "final norm": "none"}
        shape = np.arange(1, width + 1) ** -(decay * np.log(max(WIDTHS) / width))
        rows = (rng(0, width).standard_normal((TEXTS * tokens, width)) * shape).astype(np.float32)
        texts = Texts(DOCUMENTS, [tokens] * TEXTS, [tokens] * TEXTS)
        with write_dump(path, texts, attributes, {}, "float32", None, [TEXTS]) as writer:
            writer.append(np.arange(TEXTS * tokens), np.zeros(TEXTS * tokens, np.float32), {State(1): rows})
    names = {f"m-{width}": "family" for width in WIDTHS}
    family, spectra = (names, dict.fromkeys(names)), spectra_of(paths, folder)
    tables = [folder / f"following/{name}/corpus.parquet" for name in names]
    for path, table in zip(paths, tables, strict=True):
        follow_model(partial(stored, path), spectra, table, *family, "unit", {"eps2": 0.5})
    judge_following(spectra, tables, *family, folder / "following.csv", "unit", 50, 0)
    return read_csv(folder / "following.csv", FollowedVerdict)


def test_isotropic_rows_of_every_width_are_isotropic_rows_of_the_widest_projected(tmp_path):
    rows = judged(tmp_path)
    assert {(row.layer, row.follows, row.texts) for row in rows} == {("last", "2d", TEXTS), ("last", "d/2", TEXTS)}
    ranks = [row for row in rows if row.metric == "erank_covariance"]
    assert all(abs(row.difference) < 0.03 and row.low < 0 < row.high and row.sizes == 4 for row in ranks)
    assert Kind.BEYOND not in {row.verdict for row in rows}
    assert all(row.donors.startswith("width 32 ") for row in rows)


def test_what_narrower_models_lack_is_a_difference_at_both_lengths(tmp_path):
    rows = [row for row in judged(tmp_path, decay=1.0) if row.metric == "erank_covariance"]
    assert all(row.difference > 0.15 and row.low_90 > 0 for row in rows)


def test_texts_that_are_too_short_for_the_widest_are_no_texts(tmp_path):
    assert {row.follows for row in judged(tmp_path, tokens=40)} == {"d/2"}
