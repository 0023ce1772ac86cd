"""The first pass of a model over a part of the texts, where several jobs share a corpus: each batch's sums of rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geomkit.config import ModelSpec
from geomkit.lm.dumping import recorder_of
from geomkit.lm.passes import job_of, row_sums
from geomkit.store.parts import PART
from geomkit.store.refusals import refused_files
from geomkit.store.row_sums import write_row_sums
from geomkit.variants import make_run


def sum_rows(
    folder: Path,
    texts: Path,
    output: Path,
    dump: Mapping[str, Any],
    spec: ModelSpec,
    batch_tokens: int,
    modes: Sequence[str],
    variants: Sequence[str],
    seed: int,
    origin: Mapping[str, Any],
    part: str,
    whitened: Any = None,
) -> None:
    """Writes the sums of rows of every batch of a part, which may have none; a refused file if the model shows no hidden states.

    modes, whitened: what is to be measured afterwards. Raises ConfigError, before the model runs, where memory would not do.
    """
    with refused_files([output]):
        job = job_of(spec.at(folder), texts, output.parent.name, dump, batch_tokens, modes, seed, origin, part, whitened)
        count = len(job.share.batches)
        with write_row_sums(output, job.of_run | {PART: part}, count) as writer:
            for variant in variants if count else []:
                model, run = make_run(variant, job.bench)
                recorder = recorder_of(model, dump)
                for number, batch in enumerate(row_sums(recorder, run, job, f"{job.name} {variant}, means")):
                    writer.append(variant, number, batch)
                del model, recorder  # or two models would be in memory
