"""Spectra file: eigenvalues of every token cloud of one model and corpus, and each token's information gain, in HDF5.

All spectral metrics are made from it.

/{variant}/texts/{normalise}/{n}/{state}   (texts of at least n tokens, m)   of the first n tokens; attribute d
/{variant}/corpus/{normalise}/{state}      (m,)                              of all tokens; attributes n and d
/{variant}/documents/{normalise}/{state}   (documents, d (d + 1) / 2)        upper triangles of the documents' sums of z z^T
/{variant}/gains/{state}                   (tokens,)                         information gain of each token, unit rows, nats
/{variant}/tokens/{id,surprisal}           (tokens,)                         as in the dump; no surprisal where nobody knows it,
                                                                             id -1 in texts that were not measured
/{variant}/ridge/{state}/{error,freedom,gcv}  (longest texts, penalties)     ridge of their last tokens; /penalties (penalties,)
/{variant}/folds/{state}/{moment,total}    (folds, d (d + 1) / 2), (folds, d)  of each fold of documents the upper triangle of the
                                                                             sum of z z^T and the sum of z, unit rows; /tokens
/{variant}/lengths/{state}                 (tokens,)                         of every row; /cosines (texts,), each text's mean
/{variant}/measured                        (texts,)                          numbers of the measured texts, where it is not all
/{variant}/shown/{state}                   (tokens, d)                       rows of some texts, whose numbers are /shown/texts
/{variant}/sample/{state}                  (count, d)                        rows of some tokens, whose numbers are /sample/tokens
/{variant}/pooled/{kind}/{state}           (texts, d)                        one row for each text, its last token's or the mean
/{variant}/lens/{score}/{state}            (count,)                          entropy, divergence, loss of the logit lens, nats,
                                                                             at the tokens /lens/tokens
/{variant}/unembedding/eigenvalues         (d,)                              covariance of the output matrix's rows; attribute n;
                                                                             /directions (d, k), the leading ones
/{variant}/attention/{name}                (texts, blocks)                   attention to the first position and to sinks, and
                                                                             that of equal attention; /norm_ratio (texts,
                                                                             blocks + 1), /texts (texts,); attribute n
/vocabulary/count                          (ids,)                            as in the dump
/texts/{document,tokens,bytes}             as in the dump
/documents/{name,tokens}                   the documents, in the order of the texts
attributes                                 as in the dump, and constants of the information gain where that was asked for
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from geomkit.core.arrays import Array, as_numpy
from geomkit.core.config import CAUSAL
from geomkit.core.errors import DataError, RefusalError
from geomkit.core.provenance import replacing
from geomkit.core.state import TOKENS, State, order
from geomkit.core.variants import TRAINED
from geomkit.measures.fixed_point import FixedPointSum
from geomkit.measures.gain import RidgePath
from geomkit.measures.readout import Lens
from geomkit.measures.spectra import (
    CovarianceAccumulator,
    FixedPointCovariance,
    Spectrum,
    is_centred,
    normalise,
    row_spectrum,
)
from geomkit.states.hdf5 import Reader, created, opened, put, read
from geomkit.states.stream import states_type
from geomkit.states.texts import Texts, lists_of, read_lists

SCHEMA = 3
GAIN = "information gain"
"""Prefix of attributes with the information gain's constants."""
GAINED = ("trained", "shuffled")
"""Variants of which information gains are kept, where they are asked for."""


class SpectraWriter:
    def __init__(self, file: h5py.File):
        self.file = file
        self.triangles: dict[str, h5py.Dataset] = {}

    def texts(self, variant: str, mode: str, state: State, spectrum: Spectrum) -> None:
        """Write spectra of the first `spectrum.n` tokens of every text that has as many."""
        self._put(f"{variant}/texts/{mode}/{spectrum.n}/{state.path}", spectrum.eigenvalues, d=spectrum.d)

    def corpus(self, variant: str, mode: str, state: State, spectrum: Spectrum) -> None:
        self._put(f"{variant}/corpus/{mode}/{state.path}", spectrum.eigenvalues, n=spectrum.n, d=spectrum.d)

    def whole(self, variant: str, mode: str, state: State, rows: FixedPointCovariance) -> None:
        """Write the spectrum of all rows, from their sum of z z^T."""
        self.corpus(variant, mode, state, rows.spectrum(centred=is_centred(mode)))

    def document(self, variant: str, mode: str, state: State, document: int, rows: CovarianceAccumulator) -> None:
        """Write one document's sum of z z^T."""
        self.triangle(f"{variant}/documents/{mode}/{state.path}", document, rows.d, upper_triangle(rows.total))

    def triangle(self, path: str, document: int, d: int, upper: np.ndarray) -> None:
        """Write one document's row (d (d + 1) / 2,) of a dataset of documents' sums."""
        if path not in self.triangles:
            shape = (len(self.file["documents/name"]), len(upper))
            self.triangles[path] = self.file.create_dataset(path, shape, np.float64, chunks=(1, shape[1]), fletcher32=True)
            self.triangles[path].attrs["d"] = d
        self.triangles[path][document] = upper

    def measured_texts(self, variant: str, texts: Sequence[int]) -> None:
        """Write which texts were measured, where it is not all: their numbers."""
        self._put(f"{variant}/measured", np.asarray(texts))

    def gains(self, variant: str, state: State, parts: Iterable[np.ndarray]) -> None:
        """Write the information gain of every token, text after text, in parts."""
        self._fill(f"{variant}/gains/{state.path}", np.float64, parts)

    def tokens(self, variant: str, ids: Iterable[np.ndarray], surprisal: Iterable[np.ndarray] | None) -> None:
        """Write token ids and, where it is known, surprisal, text after text, in parts."""
        self._fill(f"{variant}/tokens/id", np.int32, ids)
        if surprisal is not None:
            self._fill(f"{variant}/tokens/surprisal", np.float32, surprisal)

    def ids_of_texts(self, variant: str, texts: Sequence[int], ids: Sequence[np.ndarray]) -> None:
        """Write token ids of some texts, text after text in parts, and -1 for tokens of all other texts."""
        sizes = self.file["texts/tokens"][:]
        whole = np.full(int(sizes.sum()), -1, np.int32)
        whole[np.repeat(np.isin(np.arange(len(sizes)), texts), sizes)] = np.concatenate(ids)
        self._put(f"{variant}/tokens/id", whole)

    def ridge(self, variant: str, state: State, parts: Sequence[RidgePath]) -> None:
        """Write the ridge of last tokens, in parts that follow one another."""
        for name in ("error", "freedom", "gcv"):
            self._put(f"{variant}/ridge/{state.path}/{name}", np.concatenate([as_numpy(getattr(part, name)) for part in parts]))
        self._put(f"{variant}/ridge/{state.path}/penalties", parts[0].penalties)

    def lengths(self, variant: str, state: State, parts: Sequence[np.ndarray], cosines: Sequence[float]) -> None:
        """Write the length of every row, in parts, and each text's mean cosine."""
        self._fill(f"{variant}/lengths/{state.path}", np.float64, parts)
        self._put(f"{variant}/cosines/{state.path}", np.asarray(cosines))

    def shown(self, variant: str, state: State, texts: Sequence[int], rows: np.ndarray) -> None:
        """Write the rows (tokens, d) of some texts."""
        self._put(f"{variant}/shown/{state.path}", rows)
        self._put(f"{variant}/shown/texts", np.asarray(texts))

    def sample(self, variant: str, state: State, tokens: np.ndarray, rows: np.ndarray) -> None:
        """Write the rows (count, d) of sampled tokens, and the numbers of those tokens in the corpus."""
        self._put(f"{variant}/sample/{state.path}", rows)
        if "tokens" not in self.file[f"{variant}/sample"]:
            self._put(f"{variant}/sample/tokens", tokens)

    def pooled(self, variant: str, state: State, kind: str, rows: np.ndarray) -> None:
        """Write one row for each text: (texts, d)."""
        self._put(f"{variant}/pooled/{kind}/{state.path}", rows)

    def lens(self, variant: str, tokens: np.ndarray, lens: Mapping[State, Lens]) -> None:
        """Write the scores (count,) of the logit lens at every state, and the numbers of its tokens in the corpus."""
        self._put(f"{variant}/lens/tokens", tokens)
        for state, scores in lens.items():
            for name, values in scores._asdict().items():
                self._put(f"{variant}/lens/{name}/{state.path}", values)

    def unembedding(self, variant: str, eigenvalues: np.ndarray, directions: np.ndarray | None, vocabulary: int) -> None:
        """Write the spectrum (d,) of the output matrix's rows and, of one that meets the states, leading directions (d, k)."""
        self._put(f"{variant}/unembedding/eigenvalues", eigenvalues, n=vocabulary)
        if directions is not None:
            self._put(f"{variant}/unembedding/directions", directions)

    def attention(self, variant: str, n: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write what was read of the attention in the first n tokens of some texts, by name (texts, ...)."""
        for name, values in arrays.items():
            self._put(f"{variant}/attention/{name}", values, n=n)

    def folds(
        self,
        variant: str,
        state: State,
        sums: Sequence[FixedPointCovariance],
        totals: Sequence[FixedPointSum],
    ) -> None:
        """Write each fold's sum of z z^T, and of z (d,)."""
        moment = np.stack([upper_triangle(own.total) for own in sums])
        total = np.stack([as_numpy(own.value) for own in totals])
        self.fold_arrays(variant, state, moment, total, np.array([own.n for own in sums]))

    def fold_arrays(self, variant: str, state: State, moment: np.ndarray, total: np.ndarray, tokens: np.ndarray) -> None:
        """Write each fold's sums as arrays: (folds, d (d + 1) / 2), (folds, d), and how many tokens each fold has."""
        for name, values in (("moment", moment), ("total", total), ("tokens", tokens)):
            self._put(f"{variant}/folds/{state.path}/{name}", values)

    def vocabulary(self, counts: np.ndarray) -> None:
        """Write how often each token id occurs in other documents: (ids,)."""
        self._put("vocabulary/count", counts)

    def _fill(self, path: str, dtype: type, parts: Iterable[np.ndarray]) -> None:
        """Write a row for each token of the texts; memory holds one part."""
        data = self.file.create_dataset(path, (int(self.file["texts/tokens"][:].sum()),), dtype, chunks=True, fletcher32=True)
        start = 0
        for part in parts:
            data[start : start + len(part)] = as_numpy(part)
            start += len(part)
        if start != len(data):
            raise DataError(f"/{path}: {start} of {len(data)} tokens were written")

    def _put(self, path: str, values: np.ndarray, **attributes: int) -> None:
        put(self.file, path, as_numpy(values)).attrs.update(attributes)


def gain_constants(attributes: Mapping[str, Any]) -> dict[str, float]:
    """n and eps2 of c = d / (n eps2), from the attributes of a file of spectra, or of what was made from it.

    Raises DataError where no information gain was asked for.
    """
    try:
        return {name: float(attributes[f"{GAIN} {name}"]) for name in ("n", "eps2")}
    except KeyError as missing:
        raise DataError(f"no {missing.args[0]} is known: the spectra were measured without information gains") from None


@contextmanager
def write_spectra(
    path: Path, texts: Texts, attributes: Mapping[str, object], absent: Mapping[str, str]
) -> Iterator[SpectraWriter]:
    """Yield a writer for a file that appears at `path` only when the block succeeds. `absent` may still grow inside the block."""
    with replacing(path) as temporary, created(temporary) as file:
        file.attrs.update(sorted({**attributes, "schema": SCHEMA}.items()))
        for name, values in lists_of(texts).items():
            put(file, f"texts/{name}", values)
        names = list(dict.fromkeys(texts.document))
        put(file, "documents/name", names)
        put(
            file,
            "documents/tokens",
            np.bincount([names.index(name) for name in texts.document], weights=texts.tokens).astype(np.int64),
        )
        yield SpectraWriter(file)
        file.attrs["absent"] = json.dumps(absent)


class Spectra(Reader):
    """A spectra file, opened for reading.

    Raises DataError if it is another file, or was written by another version of the schema.
    """

    def __init__(self, path: Path):
        self.file = opened(path, "file of eigenvalues", SCHEMA, "documents")
        self.attributes = dict(self.file.attrs)
        self.absent: dict[str, str] = json.loads(self.attributes.pop("absent"))
        self.text_list = read_lists(self.file, "texts")

    @property
    def variants(self) -> list[str]:
        return [name for name in self.file if name not in ("texts", "documents", "vocabulary")]

    @property
    def objective(self) -> str:
        """Training objective: the next token (`causal`), or masked tokens (`masked`)."""
        return str(self.attributes.get("objective", CAUSAL))

    def check_causal(self, what: str) -> None:
        """Check that the model predicts the next token. Raises RefusalError, naming what needs it, otherwise."""
        if self.objective != CAUSAL:
            raise RefusalError(f"{what}: absent, for the model's objective is {self.objective}, and only causal ones have it")

    @property
    def modes(self) -> list[str]:
        """Return the normalisations."""
        return list(self.file[f"{TRAINED}/corpus"])

    @property
    def widths(self) -> dict[State, int]:
        """Return every state of the trained model with its width, by layer, each block's output after its sublayers."""
        recorded = {state: int(data.attrs["d"]) for state, data in datasets(self.file[f"{TRAINED}/corpus/{self.modes[0]}"])}
        return {state: recorded[state] for state in sorted(recorded, key=order)}

    def texts(self, variant: str) -> Iterator[tuple[str, State, Spectrum]]:
        """Yield (normalise, state, spectra) for every length that a text has.

        Eigenvalues are (texts of at least n tokens, m).
        """
        for mode, lengths in self.file.get(f"{variant}/texts", {}).items():
            for n, states in lengths.items():
                for state, data in datasets(states):
                    yield mode, state, Spectrum(read(self.file, data.name), int(n), int(data.attrs["d"]))

    def at(self, variant: str, mode: str, n: int | None, state: State, rows: str = TOKENS) -> Spectrum | None:
        """Read spectra of the first n tokens of every text that has as many, or (n None) of the corpus; None if not measured.

        rows: of the corpus, those of its cloud: its tokens, or one for each text, whose spectrum is computed.
        """
        if rows != TOKENS:
            cloud = self.cloud(variant, mode, state, rows)
            return None if cloud is None else row_spectrum(cloud, is_centred(mode))
        path = f"{variant}/corpus/{mode}/{state.path}" if n is None else f"{variant}/texts/{mode}/{n}/{state.path}"
        data = self.file.get(path)
        if data is None:
            return None
        return Spectrum(read(self.file, path), int(data.attrs["n"]) if n is None else n, int(data.attrs["d"]))

    def corpus(self, variant: str) -> Iterator[tuple[str, State, Spectrum]]:
        """Yield (normalise, state, spectrum) of all tokens together."""
        for mode, states in self.file[f"{variant}/corpus"].items():
            for state, data in datasets(states):
                yield mode, state, Spectrum(read(self.file, data.name), int(data.attrs["n"]), int(data.attrs["d"]))

    def documents(self, variant: str, mode: str, state: State) -> list[CovarianceAccumulator]:
        """Read each document's sum of z z^T, for a bootstrap over documents."""
        data = self.file[f"{variant}/documents/{mode}/{state.path}"]
        d = int(data.attrs["d"])
        numbers = read(self.file, "documents/tokens")
        return [from_triangle(triangle, d, n) for triangle, n in zip(read(self.file, data.name), numbers, strict=True)]

    def measured_texts(self, variant: str) -> np.ndarray:
        """Read the numbers of the texts that were measured; of all, where nothing else is said."""
        path = f"{variant}/measured"
        return read(self.file, path) if path in self.file else np.arange(len(self.text_list.tokens))

    def gains(self, variant: str) -> Iterator[tuple[State, np.ndarray]]:
        """Yield (state, information gain of every token in nats, text after text), where gains were measured."""
        for state, data in datasets(self.file.get(f"{variant}/gains", {})):
            yield state, read(self.file, data.name)

    def ridges(self, variant: str) -> Iterator[tuple[State, RidgePath]]:
        """Yield (state, ridge of the last tokens of the longest texts), by layer, where it was requested."""
        states = {state for state, _ in datasets(self.file.get(f"{variant}/ridge", {}), above=1)}
        for state in sorted(states, key=order):
            yield state, self.ridge(variant, state)

    def ridge(self, variant: str, state: State) -> RidgePath:
        """Read the ridge of the last tokens of the longest texts of one state."""
        place = f"{variant}/ridge/{state.path}"
        return RidgePath(*(read(self.file, f"{place}/{name}") for name in ("penalties", "error", "freedom", "gcv")))

    def folds(self, variant: str, state: State) -> tuple[list[CovarianceAccumulator], np.ndarray]:
        """Read each fold's sum of z z^T, unit rows, and of z (folds, d). Raises DataError where they were not requested."""
        place = f"{variant}/folds/{state.path}"
        totals = read(self.file, f"{place}/total")
        triangles, tokens = read(self.file, f"{place}/moment"), read(self.file, f"{place}/tokens")
        return [from_triangle(triangle, totals.shape[1], n) for triangle, n in zip(triangles, tokens, strict=True)], totals

    def lengths(self, variant: str, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Read the length of every row (tokens,), text after text, and each text's mean cosine (texts,).

        Raises DataError where they were not requested.
        """
        return read(self.file, f"{variant}/lengths/{state.path}"), read(self.file, f"{variant}/cosines/{state.path}")

    def shown(self, variant: str, state: State) -> dict[int, np.ndarray]:
        """Read the rows (tokens, d) of the texts whose rows were kept, by their numbers."""
        texts = read(self.file, f"{variant}/shown/texts").tolist()
        stops = np.cumsum([self.text_list.tokens[text] for text in texts])[:-1]
        return dict(zip(texts, np.split(read(self.file, f"{variant}/shown/{state.path}"), stops), strict=True))

    def sample(self, variant: str, state: State) -> np.ndarray:
        """Read the rows (count, d) of sampled tokens. Raises DataError where they were not requested."""
        return read(self.file, f"{variant}/sample/{state.path}")

    def sampled_tokens(self, variant: str) -> np.ndarray:
        """Read the numbers of sampled tokens in the corpus, in order: (count,)."""
        return read(self.file, f"{variant}/sample/tokens")

    def pooled(self, variant: str, state: State, kind: str) -> np.ndarray:
        """Read one row for each measured text, (texts, d): that of its last token, or the mean.

        Raises DataError where there are none.
        """
        return read(self.file, f"{variant}/pooled/{kind}/{state.path}")

    @property
    def pooled_kinds(self) -> list[str]:
        """Return the kinds of rows, one for each text, that the trained model has."""
        return list(self.file.get(f"{TRAINED}/pooled", {}))

    def pooled_rows(self, variant: str) -> Iterator[tuple[str, State]]:
        """Yield (kind, state) wherever there is one row for each text."""
        for kind, states in self.file.get(f"{variant}/pooled", {}).items():
            for state in sorted((state for state, _ in datasets(states)), key=order):
                yield kind, state

    def cloud(self, variant: str, mode: str, state: State, rows: str, texts: Sequence[int] | None = None) -> np.ndarray | None:
        """Read one row for each text, or for some of those measured, normalised: (texts, d).

        None where there are none, or a text alone has no deviation.
        """
        number = len(self.text_list.tokens if texts is None else texts)
        if f"{variant}/pooled/{rows}/{state.path}" not in self.file or number <= is_centred(mode):
            return None
        found = self.pooled(variant, state, rows)
        if texts is not None:
            found = found[np.isin(self.measured_texts(variant), texts)]
        return normalise(found, mode, dtype=states_type(self.attributes))

    def lens(self, variant: str) -> tuple[np.ndarray, dict[State, Lens]] | None:
        """Read the numbers (count,) of the tokens of the logit lens, and its scores by state; None where there is none."""
        if f"{variant}/lens" not in self.file:
            return None
        names = Lens._fields
        states = sorted((state for state, _ in datasets(self.file[f"{variant}/lens/{names[0]}"])), key=order)
        scores = {state: Lens(*(read(self.file, f"{variant}/lens/{name}/{state.path}") for name in names)) for state in states}
        return read(self.file, f"{variant}/lens/tokens"), scores

    def unembedding(self, variant: str) -> tuple[Spectrum, np.ndarray | None] | None:
        """Read the spectrum of the output matrix's rows over the vocabulary, and its leading directions (d, k) if they are known.

        None where no output matrix is known.
        """
        path = f"{variant}/unembedding"
        if path not in self.file:
            return None
        eigenvalues, known = read(self.file, f"{path}/eigenvalues"), f"{path}/directions" in self.file
        spectrum = Spectrum(eigenvalues, int(self.file[f"{path}/eigenvalues"].attrs["n"]), len(eigenvalues))
        return spectrum, read(self.file, f"{path}/directions") if known else None

    def attention(self, variant: str) -> tuple[int, dict[str, np.ndarray]] | None:
        """Read how many tokens of each text were read, and what was read by name; None where no attention was read."""
        if (own := self.file.get(f"{variant}/attention")) is None:
            return None
        return int(own["texts"].attrs["n"]), {name: read(self.file, f"{variant}/attention/{name}") for name in own}

    def vocabulary(self) -> np.ndarray:
        """Read how often each token id occurs in other documents of the corpus: (ids,)."""
        return read(self.file, "vocabulary/count")

    def ids(self, variant: str) -> np.ndarray:
        """Read ids of all tokens, text after text, -1 where they are not known. Raises DataError for a null of drawn rows."""
        return read(self.file, f"{variant}/tokens/id")

    def tokens(self, variant: str) -> tuple[np.ndarray, np.ndarray]:
        """Read ids and surprisal in nats of all tokens, text after text. Raises DataError where surprisals are not known."""
        return self.ids(variant), read(self.file, f"{variant}/tokens/surprisal")

    def surprisal(self, variant: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Read the sum over each text in nats, and the number of tokens in it; None where surprisals are not known."""
        if f"{variant}/tokens/surprisal" not in self.file:
            return None
        texts = np.split(self.tokens(variant)[1], self.text_list.offset[1:-1])
        return np.array([np.nansum(text, dtype=np.float64) for text in texts]), np.array(
            [np.isfinite(text).sum() for text in texts]
        )


def upper_triangle(total: Array) -> np.ndarray:
    """Flatten the upper triangle of a sum of z z^T (d, d), row after row: (d (d + 1) / 2,). Slices are faster than indices."""
    return np.concatenate([row[start:] for start, row in enumerate(as_numpy(total))])


def from_triangle(triangle: np.ndarray, d: int, n: int) -> CovarianceAccumulator:
    """Restore a sum of z z^T over n rows from its upper triangle (d (d + 1) / 2,)."""
    total = np.zeros((d, d))
    total[upper_indices(d)] = triangle
    return CovarianceAccumulator(d, total=total + np.triu(total, 1).T, n=int(n))


@lru_cache(maxsize=8)
def upper_indices(d: int) -> tuple[np.ndarray, ...]:
    return np.triu_indices(d)


def datasets(group: h5py.Group | dict, above: int = 0) -> Iterator[tuple[State, h5py.Dataset]]:
    """Walk every dataset below a group, with the state that its path names, or that its path names but for the last parts."""
    paths: list[str] = []
    if isinstance(group, h5py.Group):
        group.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
    for path in paths:
        yield State.at("/".join(path.split("/")[: -above or None])), group[path]
