"""Dumping every layer beside the bare forward pass, and beside keeping every layer in memory.

bare   logits and surprisal, nothing kept: the same batches, attention implementation and dtype
dump   geomkit: the same, and every layer to an HDF5 file with checksums
cache  the same, and every layer in a dict of tensors, as TransformerLens' run_with_cache does: memory grows with the texts

The model is loaded, the texts are token ids, and one thread computes. The routes take turns, for the machine's speed drifts.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from geomkit.core.config import ModelSpec
from geomkit.models.capture import Recorder, batch_groups, batches, capture
from geomkit.models.load import blocks, load_model
from geomkit.states.dumps import Dump, write_dump
from geomkit.states.texts import Sample, Texts

LADDER = Path(__file__).parents[2] / "workflow/resources/ladder/ladder-64-s0"
LENGTH, BATCH_TOKENS = 256, 8192
TARGET = 1.15


def random_model() -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=8192,
        hidden_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=2048,
        max_position_embeddings=LENGTH,
    )
    torch.manual_seed(0)
    return GPTNeoXForCausalLM(config).eval()


def random_texts(vocabulary: int, count: int) -> Sample:
    ids = np.random.default_rng(0).integers(vocabulary, size=(count, LENGTH)).astype(np.int32)
    return Sample(list(ids), [], Texts([str(text) for text in range(count)], [LENGTH] * count, [LENGTH] * count))


@torch.inference_mode()
def forward(model: PreTrainedModel, sample: Sample) -> Iterator[torch.Tensor]:
    """Surprisal of each batch: (texts, tokens - 1)."""
    for run in batches([len(ids) for ids in sample.ids], BATCH_TOKENS):
        ids = torch.from_numpy(np.stack([sample.ids[text] for text in run])).long()
        logits = model(input_ids=ids, use_cache=False).logits
        yield torch.stack([cross_entropy(logits[row, :-1], ids[row, 1:], reduction="none") for row in range(len(run))])


def bare(model: PreTrainedModel, sample: Sample, file: Path) -> None:
    for _ in forward(model, sample):
        pass


def dump(model: PreTrainedModel, sample: Sample, file: Path) -> None:
    recorder = Recorder(model, range(len(blocks(model)) + 2), sublayers=False)
    borders = [len(run) for group in batch_groups(sample, BATCH_TOKENS) for run in group]
    with write_dump(file, sample.texts, {}, recorder.absent, "float32", None, borders) as writer:
        for part in capture(recorder, sample, BATCH_TOKENS):
            writer.append(*part)


def cache(model: PreTrainedModel, sample: Sample, file: Path) -> dict[str, list[torch.Tensor]]:
    kept: dict[str, list[torch.Tensor]] = {}

    def keep(name: str):
        return lambda module, args, output: kept.setdefault(name, []).append(output[0] if isinstance(output, tuple) else output)

    modules = [model.get_input_embeddings(), *blocks(model), model.base_model.final_layer_norm]
    handles = [module.register_forward_hook(keep(f"hidden.{layer}")) for layer, module in enumerate(modules)]
    kept["surprisal"] = list(forward(model, sample))
    for handle in handles:
        handle.remove()
    return kept


def seconds(
    route: Callable[[PreTrainedModel, Sample, Path], object], model: PreTrainedModel, sample: Sample, file: Path
) -> float:
    file.unlink(missing_ok=True)  # as Snakemake does before a job
    start = time.perf_counter()
    route(model, sample, file)
    return time.perf_counter() - start


def agree(model: PreTrainedModel, sample: Sample, file: Path) -> None:
    """The dump holds what the cache does."""
    dump(model, sample, file)
    kept = cache(model, sample, file)
    with Dump(file) as stored:
        for state in stored.states:
            wanted = torch.cat(kept[f"hidden.{state.layer}"]).flatten(0, 1).numpy()
            np.testing.assert_allclose(stored.rows(state, 0, len(sample.ids)), wanted, rtol=1e-5, atol=1e-5)


def main() -> None:
    torch.set_num_threads(1)
    models = {
        "ladder-64": (load_model(ModelSpec(LADDER, device="cpu")), 192, 11),
        "random-512": (random_model(), 32, 7),
    }
    print(f"Texts of {LENGTH} tokens, batches of {BATCH_TOKENS}, float32; medians, ratios of runs in turn")
    print(
        f"{'model':<12}{'tokens':>8}{'MB':>6}{'bare s':>9}{'dump s':>9}{'cache s':>9}{'dump/bare':>11}{'cache/bare':>12}  target"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dump.h5"
        for name, (model, count, repeats) in models.items():
            sample = random_texts(model.config.vocab_size, count)
            agree(model, sample, file)
            size = file.stat().st_size / 1e6
            times: dict[str, list[float]] = {route.__name__: [] for route in (bare, dump, cache)}
            for _ in range(repeats):
                for route in (bare, dump, cache):
                    times[route.__name__].append(seconds(route, model, sample, file))
            middle = [median(times[route]) for route in times]
            ratios = [median(a / b for a, b in zip(times[route], times["bare"], strict=True)) for route in ("dump", "cache")]
            print(
                f"{name:<12}{count * LENGTH:>8}{size:>6.0f}"
                + "".join(f"{value:>8.2f}" for value in middle)
                + f"{ratios[0]:>11.3f}{ratios[1]:>12.3f}  <= {TARGET}"
            )


if __name__ == "__main__":
    main()
