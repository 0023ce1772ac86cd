"""Every sublayer taken out once, by passes that restart at the ablated block, against as many bare batched passes of the model.

ours   every sublayer of every block becomes 0 once, with the pass as it is that this starts from, and each token's loss
bare   as many passes of the model as sublayers, nothing kept and no loss; beside them the same with losses

Times are the processor's, in turns, the median of rounds, so other work on the machine counts little. The output matrix is in
every pass and half of the blocks on average, which bounds the ratio. SmolLM2 is measured where it has been converted.
"""

import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from transformers import PreTrainedModel

from geomkit.core.config import ModelSpec
from geomkit.models.ablate import ablate, every_sublayer, forward
from geomkit.models.capture import surprisals, with_prefix
from geomkit.models.load import load_model
from geomkit.models.selfcheck import padded
from geomkit.states.texts import Sample, Texts

ROOT = Path(__file__).parents[2]
LADDER = ROOT / "workflow/resources/ladder"
SMOLLM2 = [ROOT / folder / "results/models/smollm2" for folder in (".", "runs/experiments")]
TARGET = 1.4
CASES = {"ladder-16-s0": (8, 256, 3), "ladder-32-s0": (8, 256, 3), "ladder-64-s0": (8, 256, 3), "ladder-128-s0": (8, 256, 3)}
"""Texts, their tokens, rounds."""
HELD = ("ladder-128-s0", "smollm2")
"""Models that the target is for: in narrower ones the output matrix is most of a pass."""


def texts(number: int, tokens: int, vocabulary: int) -> Sample:
    ids = list(np.random.default_rng(0).integers(0, vocabulary, (number, tokens)).astype(np.int32))
    return Sample(ids, [], Texts([str(text) for text in range(number)], [tokens] * number, [tokens] * number))


def rounds(model: PreTrainedModel, sample: Sample, number: int) -> tuple[float, float, float, int]:
    """Seconds of the processor for all ablations, for as many bare passes over the same batch, and for these with losses."""
    ablations = every_sublayer(model, ["zero"])
    ids, real = padded(with_prefix(sample, range(len(sample.ids))))
    ours, bare, losses = [], [], []
    with torch.inference_mode():
        forward(model, ids, real)
        for _ in range(number):
            start = time.process_time()
            for _ in ablate(model, sample, ablations, ids.numel()):
                pass
            ours.append(time.process_time() - start)
            start = time.process_time()
            for _ in ablations:
                forward(model, ids, real)
            bare.append(time.process_time() - start)
            start = time.process_time()
            for _ in ablations:
                surprisals(forward(model, ids, real), ids)
            losses.append(time.process_time() - start)
    return median(ours), median(bare), median(losses), len(ablations)


def main() -> None:
    models = {name: (LADDER / name, *shape) for name, shape in CASES.items()}
    smollm2 = next((folder for folder in SMOLLM2 if folder.is_dir()), None)
    if smollm2:
        models["smollm2"] = (smollm2, 1, 64, 1)
    else:
        print("SmolLM2 is left out: snakemake --cores 1 results/models/smollm2 fetches and converts it")
    print(f"{'':<47}{'bare':>16}{'':>8}{'with losses':>16}")
    print(
        f"{'model':<15}{'texts':>6}{'tokens':>7}{'ablations':>10}{'ours s':>9}"
        + f"{'s':>9}{'ratio':>7}{'target':>8}{'s':>9}{'ratio':>7}"
    )
    missed = []
    for name, (folder, number, tokens, times) in models.items():
        model = load_model(ModelSpec(folder, device="cpu"))
        ours, bare, losses, count = rounds(model, texts(number, tokens, model.config.get_text_config().vocab_size), times)
        target = f"> {TARGET}" if name in HELD else ""
        print(
            f"{name:<15}{number:>6}{tokens:>7}{count:>10}{ours:>9.2f}"
            f"{bare:>9.2f}{bare / ours:>7.2f}{target:>8}{losses:>9.2f}{losses / ours:>7.2f}",
            flush=True,
        )
        if name in HELD and bare / ours < TARGET:
            missed.append(name)
    assert not missed, f"restarts save too little: {', '.join(missed)}"


if __name__ == "__main__":
    main()
