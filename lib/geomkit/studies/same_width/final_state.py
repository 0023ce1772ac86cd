"""Metrics at a model's final state beside those of many untrained twins, text by text; states are measured as they come, and
none is stored.

Variants of the table: `trained` and `untrained-0` .., at the last block's output, the final state, and (sublayer `plain`) the
final state without the gain and bias that the final norm has learnt.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geomkit.core.logs import progress
from geomkit.core.variants import TRAINED
from geomkit.states.stream import Open
from geomkit.states.text_metrics import Wanted, add_run, read_stream
from geomkit.tables.tidy import TableWriter, columns_of


def measure_final_state(
    states: Open,
    output: Path,
    family: str,
    model_seed: int | None,
    twins: int,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
) -> None:
    """Write the table of one model and corpus, which the path of the output names. Missing values are listed in `absent`."""
    wanted, open_variant = Wanted(modes, lengths, metrics, parameters), states()
    with open_variant(TRAINED) as trained:
        longest = max(trained.texts.tokens)
        table = TableWriter(**columns_of(output, trained.attributes, family, model_seed))
    missing = {f"n = {n}": f"the longest text has {longest} tokens" for n in lengths if n > longest}
    variants = [TRAINED, *(f"untrained-{twin}" for twin in range(twins))]
    for variant in progress(variants, f"{output.parent.name} final state"):
        with open_variant(variant) as own:
            absences = add_run(table, variant, read_stream(own, wanted), own.texts, wanted)
        if variant == TRAINED:
            missing |= absences
    table.write(output, missing)
