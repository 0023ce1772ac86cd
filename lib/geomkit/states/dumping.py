"""Write the states of a running model to dumps: the trained model, the shuffled texts, and the untrained twins."""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from geomkit.core.logs import progress
from geomkit.core.provenance import digest
from geomkit.core.state import State
from geomkit.core.variants import TRAINED
from geomkit.states.dumps import write_dump
from geomkit.states.journal import Journal
from geomkit.states.parts import PART
from geomkit.states.refusals import refuse, refused_files
from geomkit.states.stream import Open, States, scores

WORTH = 60
"""Seconds that the batches of one run take, by the first of them, from which on they are kept for the case of a kill."""


def dump_states(
    states: Open,
    outputs: Sequence[Path],
    dump: Mapping[str, Any],
    variants: Collection[str],
    part: str | None = None,
    code: str = "",
) -> None:
    """Write a dump for each variant; outputs are named by variants.

    variants: those that the model has; the other outputs hold nothing but the reason. part: the name of the part of the texts
    that is run, where it is not all of them; where there are more parts than groups of documents, some have no texts. code: a
    digest of what dumps are made by; batches that a killed job has left count for the same code alone. A model whose architecture
    does not show its hidden states leaves refused files.
    """
    paths = {output.stem: output for output in outputs if output.stem in variants}
    for output in outputs:
        if output not in paths.values():
            refuse(output, f"{output.parent.parent.name} has no variant {output.stem}")
    with refused_files(paths.values()):
        open_variant = states()
        for variant, output in paths.items():
            with open_variant(variant) as own:
                write(own, output, variant, dump, part, code)


def write(states: States, output: Path, variant: str, dump: Mapping[str, Any], part: str | None, code: str) -> None:
    attributes = {**states.attributes, **({PART: part} if part else {})}
    texts, name, total = states.texts.part(states.share), f"{output.parent.parent.name} {variant}", len(states.borders)
    ids = [states.ids(text).tobytes() for text in states.share]
    made_of = (sorted(attributes.items()), sorted(dump.items()), list(states.share), list(states.borders), ids, code)
    # no output, which Snakemake would delete, though it lies beside them
    journal = Journal(output.with_name(f".{output.stem}.batches"), digest(*made_of))
    try:
        vocabulary = states.vocabulary() if variant == TRAINED else None
        how = (dump["dtype"], dump["compression"], states.borders, vocabulary, states if part else None)
        with write_dump(output, texts, attributes, states.absent, *how) as writer:
            done = 0
            for arrays in journal:
                writer.append(arrays.pop("ids"), arrays.pop("surprisal"), {State.at(path): rows for path, rows in arrays.items()})
                done += 1
            if done:
                print(f"{name}: goes on after {done} of {total} batches")
            kept, start = done > 0, time.monotonic()
            left = states.batches(scored=True, start=done)
            for number, batch in enumerate(progress(left, name, total, initial=done), done):
                kept |= number == 0 and (time.monotonic() - start) * total > WORTH
                writer.append(batch.ids, batch.surprisal, batch.rows)
                if kept:
                    rows = {state.path: values for state, values in batch.rows.items()}
                    journal.append({"ids": batch.ids, "surprisal": scores(batch)} | rows)
    except Exception:  # unlike a kill it would come again, and a full disk needs the space
        journal.remove()
        raise
    journal.remove()
