"""Hidden states and surprisal of one model on one corpus: the trained model, the shuffled texts, and the untrained twins."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geomkit.config import MASKED, ModelSpec, resolve_layers
from geomkit.lm.backends import BACKENDS
from geomkit.lm.capture import Captured, Recorder, batch_groups, batch_limit, capture
from geomkit.lm.cutting import texts_for
from geomkit.lm.masking import Masking, masks_of
from geomkit.lm.models import blocks, find_device, load_config, setting, sizes, some
from geomkit.lm.norms import FinalNorm, final_norm
from geomkit.lm.selfcheck import read_states
from geomkit.lm.variants import Bench
from geomkit.logs import progress
from geomkit.store.dumps import DTYPE, write_dump
from geomkit.store.journal import Journal
from geomkit.store.parts import numbered
from geomkit.store.provenance import digest, file_sha256, versions
from geomkit.store.refusals import refuse, refused_files
from geomkit.store.spectra import state_of
from geomkit.store.texts import Sample, StoredTexts, Texts
from geomkit.variants import TRAINED, make_run

OF_READING = ("special tokens", "special tokens written", "special tokens read", "added tokens read", "no bytes")
"""Attributes on how documents were read, of a file of texts and of its dumps."""

WORTH = 60
"""Seconds that the batches of one run take, by the first of them, from which on they are kept for the case of a kill."""


def dump_model(
    folder: Path,
    texts: Path,
    outputs: Iterable[Path],
    dump: Mapping[str, Any],
    spec: ModelSpec,
    batch_tokens: int,
    seed: int,
    origin: Mapping[str, Any],
    variants: Collection[str] | None = None,
    part: str | None = None,
    code: str = "",
) -> None:
    """Runs a model, its untrained twins and the shuffled texts, as the names of the outputs ask for, over stored texts.

    variants: those that are run, where it is not all; the other outputs hold nothing but the reason. part: the name of the part
    of the texts that is run, where it is not all of them (`geomkit.store.parts`); where there are more parts than groups of
    documents, some have no texts. code: a digest of what dumps are made by; batches that a killed job has left count for the same
    code alone. A model whose architecture does not show its hidden states leaves refused files.
    """
    every = {Path(output).stem: Path(output) for output in outputs}
    paths = {variant: output for variant, output in every.items() if variants is None or variant in variants}
    name = paths[TRAINED].parent.parent.name
    for variant in every.keys() - paths.keys():
        refuse(every[variant], f"{name} has no variant {variant}")
    with refused_files(paths.values()):
        spec = spec.at(folder)
        stored = texts_for(texts, spec, name)
        bench, facts = prepare(spec, stored, name, seed, origin)
        masks = masks_of(spec)
        counts = padded_counts(stored, spec)
        groups = batch_groups(stored.sample, batch_limit(load_config(spec), batch_tokens), masks)
        share = share_of(groups, stored.sample.texts, part)
        for variant, output in paths.items():
            known = counts if variant == TRAINED else None
            if not share.batches:
                with write_dump(output, share.texts, facts | {"variant": variant}, {}, dump["dtype"], None):
                    continue
            model, run = make_run(variant, bench)
            write(model, run, output, facts | {"variant": variant}, known, dump, batch_tokens, masks, share, code)
            del model  # or two models would be in memory


@dataclass(frozen=True)
class Share:
    """What one job runs: its texts, the numbers of its batches, of a part how many texts each of them has, and the number of its
    first text."""

    texts: Texts
    batches: range
    sizes: list[int] | None = None
    first: int = 0


def share_of(groups: Sequence[Sequence[range]], texts: Texts, part: str | None) -> Share:
    """The share of a part: a group belongs to the part, of all parts of as many tokens, that its first token falls into.

    So parts are runs of whole groups, one after another; the first has texts, and others may have none.
    """
    if part is None:
        return Share(texts, range(sum(map(len, groups))))
    number, parts = numbered(part)
    begins = texts.offset[[group[0].start for group in groups]]
    own = np.searchsorted(begins * parts, np.arange(number, number + 2) * texts.offset[-1])
    before, mine = groups[: own[0]], groups[own[0] : own[1]]
    sizes = [len(run) for group in mine for run in group]
    first = sum(map(len, before))
    start = mine[0][0].start if mine else 0
    return Share(texts.part(start, start + sum(sizes)), range(first, first + len(sizes)), sizes, start)


def padded_counts(stored: StoredTexts, spec: ModelSpec) -> np.ndarray:
    """How often each token id occurs elsewhere (ids,), for every id that the model knows."""
    vocabulary = setting(load_config(spec), "vocab_size")
    return np.pad(stored.counts, (0, max(0, vocabulary - len(stored.counts))))


def prepare(
    spec: ModelSpec, stored: StoredTexts, name: str, seed: int, origin: Mapping[str, Any]
) -> tuple[Bench, dict[str, object]]:
    """What variants are made of, and where it all came from."""
    facts: dict[str, object] = (
        {f"model {key}": value for key, value in origin.items()}
        | of_reading(stored, spec.objective)
        | {
            "model": name,
            "weights sha256": file_sha256(spec.folder),
            "tokenizer sha256": stored.attributes["tokenizer sha256"],
            "corpus sha256": stored.attributes["corpus sha256"],
            "objective": spec.objective,
            DTYPE: spec.dtype,
            "device": find_device(spec.device).type,
            "seed": seed,
            "versions": versions(*BACKENDS, "numpy"),
        }
    )
    return Bench(spec, stored.sample, seed), facts


def of_reading(stored: StoredTexts, objective: str) -> dict[str, object]:
    """A dump's attributes on how documents were read. A masked model's first token is scored too: its bytes are known if a prefix
    made the tokenizer count them."""
    found = {key: value for key, value in stored.attributes.items() if key in OF_READING}
    if objective == MASKED and not stored.sample.prefix and not found.get("no bytes"):
        found["no bytes"] = "all tokens of a text are scored, and the bytes of the first are not known"
    return found


def write(
    model,
    run: Sample,
    output: Path,
    facts: dict[str, object],
    vocabulary: np.ndarray | None,
    dump: Mapping[str, Any],
    batch_tokens: int,
    masks: Masking | None,
    share: Share,
    code: str = "",
) -> None:
    recorder, attributes = recorder_of(model, dump), facts | of_model(model)
    total = len(share.batches)
    name = f"{output.parent.parent.name} {output.stem}"
    read = [run.prefix, share.batches, *(ids.tobytes() for ids in run.ids)]
    made_of = (sorted(attributes.items()), sorted(dump.items()), batch_tokens, read, code)
    # no output, which Snakemake would delete, though it lies beside them
    journal = Journal(output.with_name(f".{output.stem}.batches"), digest(*made_of))
    try:
        how = (dump["dtype"], dump["compression"], vocabulary, share.sizes)
        with write_dump(output, share.texts, attributes, recorder.absent, *how) as writer:
            done = 0
            for arrays in journal:
                writer.append(*unpacked(arrays))
                done += 1
            if done:
                print(f"{name}: goes on after {done} of {total} batches")
            left = capture(recorder, run, batch_tokens, masks, only=share.batches[done:])
            kept, start = done > 0, time.monotonic()
            for number, part in enumerate(progress(left, name, total, initial=done), done):
                kept |= number == 0 and (time.monotonic() - start) * total > WORTH
                writer.append(*part)
                if kept:
                    journal.append(packed(part))
    except Exception:  # unlike a kill it would come again, and a full disk needs the space
        journal.remove()
        raise
    journal.remove()


def packed(part: Captured) -> dict[str, np.ndarray]:
    """A batch as arrays by name."""
    return {"ids": part.ids, "surprisal": part.surprisal} | {state.path: values for state, values in part.states.items()}


def unpacked(arrays: Mapping[str, np.ndarray]) -> Captured:
    """The batch that `packed` made arrays of."""
    states = {state_of(path): values for path, values in arrays.items() if path not in ("ids", "surprisal")}
    return Captured(arrays["ids"], arrays["surprisal"], states)


def recorder_of(model, dump: Mapping[str, Any]) -> Recorder:
    """A recorder of the layers and sublayers that are asked for."""
    return Recorder(model, resolve_layers(dump["layers"], len(blocks(model))), dump["sublayers"])


def of_model(model) -> dict[str, object]:
    """Attributes of a model: sizes, final norm, weights of its checkpoint that were left out, and transformers' own numbering of
    its states, if different."""
    beside, numbering = getattr(model, "left_out", []), read_states(model).numbering
    about = {"depth": len(blocks(model)), **vars(sizes(model)), **norm_attributes(final_norm(model))}
    about |= {"weights left out": some(beside)} if beside else {}
    return about | ({"numbering": numbering} if numbering else {})


def norm_attributes(norm: FinalNorm | str) -> dict[str, object]:
    """What a dump says about the final norm, so that its gain and bias can be left out later."""
    return {"final norm": "none"} if isinstance(norm, str) else {"final norm": norm.kind, "final norm eps": norm.eps}
