"""Metrics at a model's final state beside those of many untrained twins, text by text; states are measured as they come, and
none is stored.

Variants of the table: `trained` and `untrained-0` .., at the last block's output, the final state, and (sublayer `plain`) the
final state without the gain and bias that the final norm has learnt.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geomkit.config import ModelSpec
from geomkit.lm.cutting import texts_for
from geomkit.lm.masking import masks_of
from geomkit.lm.models import blocks, sizes
from geomkit.lm.running import Wanted, add_run, run_model
from geomkit.lm.variants import Bench
from geomkit.logs import progress
from geomkit.store.tables import TableWriter
from geomkit.variants import TRAINED, make_run


def measure_final_state(
    folder: Path,
    texts: Path,
    output: Path,
    family: str,
    seed: int | None,
    twins: int,
    modes: Sequence[str],
    lengths: Sequence[int],
    metrics: Sequence[str] | None,
    parameters: Mapping[str, float],
    spec: ModelSpec,
    batch_tokens: int,
) -> None:
    """Writes the table of one model and corpus, which the path of the output names. What it does not hold is among `absent`."""
    name, wanted = output.parent.name, Wanted(modes, lengths, metrics, parameters)
    spec = spec.at(folder)
    sample = texts_for(texts, spec, name).sample
    # what is drawn here is named by the twins' own numbers
    bench, masks = Bench(spec, sample, 0), masks_of(spec)
    longest = max(sample.texts.tokens)
    missing = {f"n = {n}": f"the longest text has {longest} tokens" for n in lengths if n > longest}
    model = bench.model()
    facts: dict[str, int] = {"depth": len(blocks(model)), **vars(sizes(model))}
    table = TableWriter(model=name, family=family, seed=seed, corpus=output.stem, **facts)
    del model  # or two models would be in memory
    for variant in progress([TRAINED, *(f"untrained-{twin}" for twin in range(twins))], f"{name} final state"):
        own, read = make_run(variant, bench)
        seen = run_model(own, read, [facts["depth"], facts["depth"] + 1], wanted, batch_tokens, masks)
        del own
        absences = add_run(table, variant, seen, sample.texts, wanted)
        if variant == TRAINED:
            missing |= absences
    table.write(output, missing)
