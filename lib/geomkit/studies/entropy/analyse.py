"""Evaluate every metric on every spectrum of one model and corpus, and add the loss: a tidy table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geomkit.core.declarations import named
from geomkit.core.state import TOKENS, State
from geomkit.measures.entropy import measured_and_absent, undefined
from geomkit.measures.spectra import Spectrum
from geomkit.states.refusals import refused_table
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Texts
from geomkit.tables.tidy import TableWriter, columns_of


def measure_spectra(
    spectra: Path, output: Path, family: str, seed: int | None, metrics: Sequence[str] | None, parameters: Mapping[str, float]
) -> None:
    """Write the table of one model and corpus. The path of the spectra names both."""
    with refused_table(output), Spectra(spectra) as file:
        table = TableWriter(**columns_of(spectra, file.attributes, family, seed))
        missing = dict(file.absent)
        texts = file.text_list
        for variant in file.variants:
            for scope in (file.texts, file.corpus):
                for mode, state, spectrum in scope(variant):
                    missing |= add_spectrum(table, texts, variant, mode, state, spectrum, metrics, parameters)
            for rows, state in file.pooled_rows(variant):
                for mode in file.modes:
                    one_each = file.at(variant, mode, None, state, rows)
                    if one_each is None:
                        missing[f"{rows} rows, {mode}"] = "one text has no deviation from its mean"
                        continue
                    missing |= add_spectrum(table, texts, variant, mode, state, one_each, metrics, parameters, rows)
            reason = str(file.attributes.get("no bytes", ""))
            missing |= add_loss(table, texts, variant, file.surprisal(variant), reason)
        table.write(output, missing)


def add_spectrum(
    table: TableWriter,
    texts: Texts,
    variant: str,
    mode: str,
    state: State,
    spectrum: Spectrum,
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    rows: str = TOKENS,
) -> dict[str, str]:
    """Add one spectrum's metrics, or those of a batch of texts, and return what is missing, with reasons.

    rows: those of the spectrum's cloud.
    """
    texts_of: dict[str, object] = {"text": -1}
    if spectrum.eigenvalues.ndim > 1:
        long_enough = [text for text, n in enumerate(texts.tokens) if n >= spectrum.n]
        texts_of = {"text": long_enough, "document": [texts.document[text] for text in long_enough]}
    where = f"{variant}, {mode}, {f'n = {spectrum.n}' if rows == TOKENS else f'{rows} of each text'}"
    results, without = measured_and_absent(spectrum, metrics, parameters)
    missing = {f"{name}, {where}": why for name, why in without.items()}
    table.add_metrics(spectrum, results, **texts_of, **state._asdict(), variant=variant, rows=rows, normalise=mode)
    return missing | {f"{name}, {where}, /{state.path}": why for name, why in undefined(spectrum, results).items()}


@named("loss", label="loss", unit="nats a token")
@named("loss_per_byte", label="loss per byte", unit="nats a byte")
def add_loss(
    table: TableWriter, texts: Texts, variant: str, surprisal: tuple[np.ndarray, np.ndarray] | None, no_bytes: str = ""
) -> dict[str, str]:
    """Add mean surprisal in nats a token and a byte, of each text and of the corpus, and return what is missing, with reasons.

    no_bytes: why the bytes of texts are not known, if they are not. A text whose scored tokens all end in the character that the
    token before them ended in has no loss per byte; the corpus has one, by the sums.
    """
    if surprisal is None:
        return {}
    nats, tokens = surprisal
    size = np.array(texts.bytes)
    columns = {"variant": variant, "n": tokens}
    each = {"text": np.arange(len(nats)), "document": list(texts.document)}
    for name, count in (("loss", tokens), *([] if no_bytes else [("loss_per_byte", size)])):
        table.add(**columns, **each, metric=name, value=np.divide(nats, count, out=np.full(len(nats), np.nan), where=count > 0))
        whole = {**columns, "n": int(tokens.sum()), "text": -1, "metric": name}
        table.add(**whole, value=float(nats.sum() / count.sum()) if count.sum() else np.nan)
    if no_bytes:
        return {"loss_per_byte": no_bytes}
    without = int((size == 0).sum())
    return {f"loss_per_byte, {variant}": f"undefined for {without} of {len(size)} texts (no byte)"} if without else {}
