"""Relate one model's information gain of tokens on one corpus to position and surprisal, and regress last tokens by ridge."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.core.config import CAUSAL, layer_name
from geomkit.core.errors import DataError
from geomkit.core.provenance import rng
from geomkit.core.state import State
from geomkit.laws.resampling import Clustered, Documents
from geomkit.measures.gain import PENALTIES, RidgePath
from geomkit.states.refusals import refused_table
from geomkit.states.spectra import Spectra, gain_constants
from geomkit.studies.tokens.rows import TokenScore
from geomkit.tables.rows import defined, write_csv
from geomkit.tables.tidy import TOKEN_COLUMNS, TableWriter, columns_of

Row = dict[str, Any]
FIRST = 8
"""Tokens at the start of a text that correlations leave out: there every token is new."""
POSITIONS = 40
RESAMPLES = 1000
IN_ORDER = ("trained", "shuffled")
"""Variants of which tokens are taken in order."""
NOT_CAUSAL = "the model is masked: every state has seen its whole text, so what a token adds to those before it is not in it"


@dataclass(frozen=True)
class Tokens:
    """All tokens of a corpus, text after text, each an array (tokens,)."""

    document: np.ndarray
    position: np.ndarray
    surprisal: np.ndarray
    frequency: np.ndarray
    """ln of the token's count in other documents, plus 1/2."""
    earlier: np.ndarray
    """Number of times that the token has occurred in the text before."""

    @classmethod
    def of(cls, ids: np.ndarray, surprisal: np.ndarray, lengths: Iterable[int], documents: Iterable[str], counts: np.ndarray):
        """Tokens of texts of the given lengths; counts by token id."""
        names = {name: number for number, name in enumerate(dict.fromkeys(documents))}
        sizes = list(lengths)
        numbers = np.array([names[name] for name in documents])
        texts = np.split(ids, np.cumsum(sizes)[:-1])
        earlier = [np.tril(text[:, None] == text, -1).sum(axis=1) for text in texts]
        position = np.concatenate([np.arange(size) for size in sizes])
        return cls(np.repeat(numbers, sizes), position, surprisal, np.log(counts[ids] + 0.5), np.concatenate(earlier))

    def following(self, values: np.ndarray) -> np.ndarray:
        """The next token's value, NaN at the end of a text."""
        shifted = np.append(values[1:], np.nan)
        return np.where(np.append(self.position[1:], 0) > 0, shifted, np.nan)


def measure_gains(
    spectra: Path,
    output: Path,
    summary: Path,
    family: str,
    model_seed: int | None,
    seed: int,
) -> None:
    with refused_table(output, TOKEN_COLUMNS, summary, TokenScore), Spectra(spectra) as file:
        common: Row = {
            **columns_of(spectra, file.attributes, family, model_seed),
            "eps2": gain_constants(file.attributes)["eps2"],
        }
        table, absent = TableWriter(TOKEN_COLUMNS, **common), {}
        depth = common["depth"]
        texts, counts, rows, widths = file.text_list, file.vocabulary(), [], file.widths
        in_order: tuple[str, ...] = IN_ORDER
        if file.objective != CAUSAL:
            in_order, absent["information gain"] = (), NOT_CAUSAL
        for variant in in_order:
            if variant not in file.variants:
                absent[f"information gain, {variant}"] = file.absent.get(variant, f"{variant} is not among entropy.nulls")
                continue
            tokens = Tokens.of(*file.tokens(variant), texts.tokens, texts.document, counts)
            for state, gains in file.gains(variant):
                where = {
                    "variant": variant,
                    **state._asdict(),
                    "name": layer_name(state.layer, depth) or None,
                    "d": widths[state],
                }
                rows += [where | row for row in correlations(tokens, gains, rng(seed, "tokens", spectra.stem))]
                if where["name"] and state.sublayer == "block":
                    rows += [where | row for row in profiles(tokens, gains, rng(seed, "tokens", spectra.stem))]
                    if variant == "trained":
                        add_gains(table, texts.document, tokens, state, gains)
        sizes, names = np.array(texts.tokens), np.array(texts.document)
        for state, path in file.ridges("trained"):
            where = {"variant": "trained", **state._asdict(), "name": layer_name(state.layer, depth), "d": widths[state]}
            longest = names[sizes == sizes.max()]
            rows += [where | row for row in ridge(path, longest, rng(seed, "tokens", spectra.stem))]
        table.write(output, absent)
        write_csv(summary, TokenScore, [TokenScore(**common | row) for row in rows])


def numbers(estimate: Clustered) -> Row:
    """An interval over documents as columns; what is not defined is None."""
    value, low, high, documents = estimate
    return {"value": defined(value), "low": defined(low), "high": defined(high), "documents": documents}


def correlations(tokens: Tokens, gains: np.ndarray, draw: np.random.Generator) -> Iterator[Row]:
    """Rank correlation of gain with the token's own and the next token's surprisal, raw and with position, frequency and earlier
    occurrence (of the next token too, for its surprisal) held fixed."""
    own = [tokens.position, tokens.frequency, tokens.earlier]
    next_ones = [tokens.following(values) for values in (tokens.frequency, tokens.earlier.astype(float))]
    outcomes = {"surprisal": (tokens.surprisal, own), "next_surprisal": (tokens.following(tokens.surprisal), own + next_ones)}
    for name, (outcome, controls) in outcomes.items():
        kept = (tokens.position >= FIRST) & np.isfinite(outcome)
        for method, held in (("raw", []), ("partial", [control[kept] for control in controls])):
            row: Row = {"metric": f"gain_{name}", "method": method, "n": int(kept.sum())}
            try:
                documents = Documents.draw(tokens.document[kept], RESAMPLES, draw)
                yield row | numbers(documents.partial_rank_correlation(gains[kept], outcome[kept], held))
            except DataError as reason:
                yield row | {"reason": str(reason)}


def profiles(tokens: Tokens, gains: np.ndarray, draw: np.random.Generator) -> Iterator[Row]:
    """Mean gain at positions, and in tenths of the tokens by surprisal."""
    for place in np.unique(np.geomspace(1, tokens.position.max() + 1, POSITIONS).round().astype(int) - 1):
        here = tokens.position == place
        estimate = Documents.draw(tokens.document[here], RESAMPLES, draw).mean(gains[here])
        yield {"metric": "gain_at_position", "x": int(place), "n": int(here.sum())} | numbers(estimate)
    kept = (tokens.position >= FIRST) & np.isfinite(tokens.surprisal)
    if not kept.any():
        return
    edges = np.quantile(tokens.surprisal[kept], np.arange(1, 10) / 10)
    tenth = np.where(kept, np.searchsorted(edges, tokens.surprisal), -1)
    for part in range(10):
        here = tenth == part
        if here.any():
            estimate = Documents.draw(tokens.document[here], RESAMPLES, draw).mean(gains[here])
            yield {"metric": "gain_at_surprisal", "x": float(tokens.surprisal[here].mean()), "n": int(here.sum())} | numbers(
                estimate
            )


def add_gains(table: TableWriter, documents: Iterable[str], tokens: Tokens, state: State, gains: np.ndarray) -> None:
    """Add every token's gain."""
    starts = np.flatnonzero(tokens.position == 0)
    text = np.searchsorted(starts, np.arange(len(gains)), side="right") - 1
    names = np.array(list(documents), dtype=object)[text]
    table.add(
        variant="trained", **state._asdict(), normalise="unit", metric="information_gain",
        text=text, document=names, position=tokens.position, value=gains,
    )  # fmt: skip


def ridge(path: RidgePath, longest: np.ndarray, draw: np.random.Generator) -> Iterator[Row]:
    """Ridge regression of the last token of the longest texts on those before it: error, degrees of freedom and generalised
    cross-validation at penalties x times the information gain's 1 / c, and at each text's best one. longest: their documents
    (texts,)."""
    documents = Documents.draw(longest, RESAMPLES, draw)
    for metric, values in (("error", path.error), ("freedom", path.freedom), ("gcv", path.gcv)):
        for x, column in zip(PENALTIES, values.T, strict=True):
            yield {"metric": f"ridge_{metric}", "x": float(x), "n": len(longest)} | numbers(documents.mean(column))
    known = np.isfinite(path.best)
    if not known.any():
        yield {"metric": "ridge_best_error", "reason": "no degrees of freedom are left at any penalty"}
        return
    place = np.abs(path.penalties - np.where(known, path.best, 0)[:, None]).argmin(axis=1)
    best: Mapping[str, np.ndarray] = {
        "error": np.take_along_axis(path.error, place[:, None], axis=1)[:, 0],
        "freedom": np.take_along_axis(path.freedom, place[:, None], axis=1)[:, 0],
        "log10_penalty": np.log10(PENALTIES[place]),
        "at_edge": np.isin(place, [0, len(PENALTIES) - 1]).astype(float),
    }
    for name, values in best.items():
        estimate = documents.mean(np.where(known, values, np.nan))
        yield {"metric": f"ridge_best_{name}", "n": int(known.sum())} | numbers(estimate)
