"""The table of a portrait or a comparison: one row for each number on the page.

Column `section` says what a row is, and which of the other columns it has; a column that does not apply holds null.

depth       a metric at one state: `variant` (trained, shuffled, untrained-0, gaussian), `layer`, `state`, `place`,
            `normalise`, `scope`, `n`, `d`, `sinks`, `metric`, `value`, `low`, `high`, `bound`, `texts`, `documents`.
            `scope` is `text` for the mean over texts of their first n tokens, `corpus` for all tokens together, which
            has no interval, `last` and `mean` for the corpus with one row for each text, its last token's or the mean,
            whose number is n: of the texts that the model and all nulls have read. `sinks` is `with`, or `without` where
            sinks were left out of the trained model's texts.
valley      of the effective rank (`erank_covariance`) over the embedding and all blocks, texts of the longest `n`: `variant`,
            `normalise`, `n`, `layer`, `state`, `place`, `d` (of the deepest layer), `metric`, `value`, `low`, `high`, `texts`,
            `documents`. Metrics: `valley_depth`, 1 - the lowest inner layer / the lower of both ends, of geometric means over
            texts; `valley_layer`, the number of that layer. Its interval has the layers that are lowest in resamples.
spectrum    shares of the trace, mean over texts: `variant`, `layer`, `state`, `place`, `normalise`, `n`, `d`, `rank`
            (1 is the largest), `value`. Ranks are log-spaced. Metric `marchenko_pastur`, without a rank, is the upper
            edge for rows without structure.
norms       of the trained model: `layer`, `state`, `place`, `metric`, `value`, `low`, `high`. Metrics: `norm_median`,
            `norm_largest`, `norm_first` (mean over texts of a text's median, largest and first norm), `mean_cosine`,
            `sink_share` (share of sinks in the squared norm).
dimension   intrinsic dimension of sampled tokens' rows, as they are (`raw`): `variant` (also `same-covariance`: Gaussian rows
            with the covariance of the trained model's), `layer`, `state`, `place`, `normalise`, `scope` (`types`, one row of
            each different token, without sinks, or `tokens`, those of all), `n` distinct rows, `d`, `metric`, `rank` (the
            scale: the rank of the farther neighbour), `value`, `low`, `high`, `documents`. Metric `repeated`: how many rows
            equal an earlier one and were left out. Of a comparison also the difference on the same tokens, without a variant.
sinks       a token that is a sink in many texts: `position`, `token`, `value` the number of texts, metric `sinks`;
            `low`, `high` null; metric `sink_ratio`: its norm in medians of the text, at the layer where that is
            highest (`layer`).
readout     what the model's own head makes of a state: `variant`, `layer`, `state`, `place`, `metric`, `n` (tokens), `value`,
            `low`, `high`, `documents`. Metrics of the logit lens, means over tokens in nats: `logit_lens_entropy` of the
            prediction, `logit_lens_divergence`, KL(final prediction || that of the state), and `logit_lens_loss`; `bound` is
            that of a uniform guess. `unembedding_share`: share of the states' variance in the `rank` leading directions of
            the output matrix; of variant `random subspace` in one of that size, with the ends of 95 % of them.
            `unembedding_erank`, without a layer: effective rank of the rows of the output matrix over the vocabulary,
            their mean subtracted and what the final norm multiplies each coordinate by in them, of at most `bound`.
attention   by block: `variant`, `layer`, `place`, `metric`, `n` (tokens of each text), `value`, `low`, `high`, `texts`.
            `attention_first`: attention to the first position that the model reads, from the others; `attention_sinks`: to
            the trained model's sinks, from tokens that are none; mean over heads, tokens and texts. Variant `uniform
            attention` is equal attention to all tokens that are seen. `norm_ratio`: norm of the first position in medians of
            its text. Without a layer, `attention_with_rank`, `norm_with_rank`, `attention_with_norm`: rank correlation over
            `n` blocks, with `normalise` of the effective rank, attention paired with the state that
            its block reads, and in `band_low`, `band_high` the least and the largest of
            all other circular shifts.
tokens      a token of a shown text: `text`, `position`, `token`, metric `gain` (nats, at the last block) or
            `surprisal` (nats).
selection   an earlier token that Lasso chose for a token: `text`, `position`, `past` (the position chosen), `rank` (1
            first).
loss        `variant`, metric `loss` (nats a token) or `loss_per_byte`, `value`, `low`, `high`; `bound` is that of a
            uniform guess. Of a comparison also the difference, paired by text, without a variant.
similarity  of two states: `variant` (trained, untrained-0), `layer`, `state`, `place`, `depth`, `d` of one, `other_layer`,
            `other_place` of the other, `normalise`, `scope`, `n`, `documents`, metric `cka` or `mutual_neighbours`,
            `value` calibrated by `null`, (raw - null) / (1 - null), with `low`, `high`; the raw value is
            null + (1 - null) value. `scope` is `tokens` for n sampled tokens, `last` or `mean` for one row of each of n
            texts, where two models have read other tokens. Of a comparison `layer` is the first model's, `other_layer`
            the second's.
reference   a shipped model at the last block: `model`, `d`, `n`, `normalise`, `metric`, `value`, `low`, `high`.
width       the widest shipped model's rows projected to `d` directions: `model` the donor, `d`, `n`, `normalise`,
            `metric`, `value`.
difference  of a comparison: the second model minus the first: `layer` of the first, `depth` (relative), `state`,
            `place`, `normalise`, `scope`, `n`, `metric`, `value`, `low`, `high`, and `band_low`, `band_high`, which
            hold at all layers together. `scope` is `text`, or `last` and `mean` for one row of each of n texts.

Rows of a comparison name the model in `model`. The schema's metadata has what the page says beside the numbers: `Facts`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from geomkit.core.provenance import replacing
from geomkit.tables.parquet import read_table
from geomkit.tables.rows import decoded, encoded

NAME = pa.dictionary(pa.int32(), pa.string())
COLUMNS = pa.schema(
    [
        ("section", NAME),
        ("model", NAME),
        ("variant", NAME),
        ("layer", pa.int32()),
        ("state", NAME),
        ("place", NAME),
        ("depth", pa.float64()),
        ("other_layer", pa.int32()),
        ("other_place", NAME),
        ("normalise", NAME),
        ("scope", NAME),
        ("n", pa.int64()),
        ("d", pa.int32()),
        ("sinks", NAME),
        ("metric", NAME),
        ("rank", pa.int32()),
        ("text", pa.int32()),
        ("position", pa.int32()),
        ("past", pa.int32()),
        ("token", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("band_low", pa.float64()),
        ("band_high", pa.float64()),
        ("bound", pa.float64()),
        ("null", pa.float64()),
        ("texts", pa.int32()),
        ("documents", pa.int32()),
    ]
)
"""depth is relative: 0 the embedding, 1 the last block, above 1 the final state. place is its name: embedding, a number, last,
plain (after the final norm without its learnt weights) or final. low and high are ends of 95 % intervals over documents."""
TOKENS = "tokens"
"""Scope of similarities whose rows are sampled tokens; the others are ways to pool a text."""
NEIGHBOURS = 10
"""Nearest neighbours of a token that similarity counts."""
PLACE = b"portrait"
"""Key of the facts in the metadata of a table."""


@dataclass(frozen=True)
class Facts:
    """What a page says beside the numbers.

    kind: `portrait` or `comparison`. models, corpus: names. sentences: `In short`. measured: names and values of what was
    measured, in order. absent: what is not there, and why. command: what makes the page again. labels: of each metric, its label
    and unit. variants: the label of each variant. texts: names of the shown texts, in order.
    """

    kind: str
    models: tuple[str, ...]
    corpus: str
    sentences: tuple[str, ...] = ()
    measured: tuple[tuple[str, str], ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A shipped model's metric at the last block, mean over texts, with its interval.

    projected: whether it is that of the widest model's rows in d directions instead, the line that width alone would give.
    """

    corpus: str
    model: str
    d: int
    n: int
    normalise: str
    metric: str
    projected: bool
    value: float
    low: float | None
    high: float | None


def with_facts(table: pa.Table, facts: Facts) -> pa.Table:
    """Return the table with these facts in its metadata."""
    return table.replace_schema_metadata({PLACE: json.dumps(encoded(facts, Facts, "facts"))})


def facts_of(table: pa.Table) -> Facts:
    """Return the facts of a table."""
    facts: Facts = decoded(json.loads(table.schema.metadata[PLACE]), Facts, "facts")
    return facts


def write(table: pa.Table, parquet: Path, csv: Path | None = None) -> None:
    """Write a table as Parquet, with its facts, and as CSV."""
    with replacing(parquet) as temporary:
        pq.write_table(table, temporary)
    if csv is not None:
        plain = table.cast(pa.schema([(one.name, pa.string() if one.type == NAME else one.type) for one in table.schema]))
        with replacing(csv) as temporary:
            pa.csv.write_csv(plain, temporary)


def read(path: Path) -> pa.Table:
    """Read a table that `write` wrote. Raises DataError for another file."""
    return read_table(path)
