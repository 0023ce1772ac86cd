"""Write the ladder's model card: losses of every model on held-out texts, baselines, and samples."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch

from geomkit.core.config import ModelSpec
from geomkit.core.logs import progress
from geomkit.core.provenance import replacing
from geomkit.ladder.training import Recipe, evaluate, stream, windows
from geomkit.measures.baselines import bigram_loss, gzip_loss, unigram_loss
from geomkit.models.load import load_model, load_tokenizer, sizes
from geomkit.sources.corpora import stored_documents
from geomkit.tables.rows import write_csv
from geomkit.tables.trainings import TEST_WINDOWS, LadderLoss

PROMPT = "The Congress of the United States"


def write_card(
    models: Sequence[Path],
    corpora: Sequence[Path],
    splits: Sequence[str],
    home: str,
    losses: Path,
    card: Path,
    template: Path,
    recipe: Mapping[str, Any],
    device: str,
) -> None:
    """Write the model card and the table of losses. models: files in the models' folders, in the order of the table."""
    folders = [Path(model).parent for model in models]
    more = [folder.name for folder in folders if folder.parent != card.parent]
    sources = {Path(path).stem: (Path(path), split) for path, split in zip(corpora, splits, strict=True)}
    words = load_tokenizer(folders[0])
    own = replace(Recipe(**recipe), validation_windows=TEST_WINDOWS)
    texts = {name: stream(stored_documents(path, split), words) for name, (path, split) in sources.items()}
    bytes_per_token = {name: measured_bytes(ids, words, own) for name, ids in texts.items()}
    rows: list[dict[str, Any]] = []
    samples = {}
    for folder in progress(folders, "ladder card"):
        model = load_model(ModelSpec(folder, device=device))
        _, width, seed = folder.name.replace("-s", "-").split("-")
        row = {"model": folder.name, "width": int(width), "seed": int(seed), **vars(sizes(model))}
        for name, ids in texts.items():
            row[f"loss_{name}"] = round(evaluate(model, ids, own), 4)
            row[f"loss_per_byte_{name}"] = round(row[f"loss_{name}"] / bytes_per_token[name], 4)
        rows.append(row)
        if int(seed) == 0:
            samples[folder.name] = continuation(model, words)
    write_csv(losses, LadderLoss, [loss_record(row) for row in rows])
    path, test = sources[home]
    training, validation = (stored_documents(path, split) for split in ("train", "validation"))
    ids = stream(training, words)
    baselines = {
        "unigram": unigram_loss(ids, texts[home], own.vocabulary),
        "bigram": bigram_loss(ids, stream(validation, words), texts[home], own.vocabulary),
    }
    joined = [
        "\n\n".join(document.text for document in documents).encode() for documents in (training, stored_documents(path, test))
    ]
    lines = [f"{name} {loss:.3f} nats a token ({loss / bytes_per_token[home]:.3f} a byte)" for name, loss in baselines.items()]
    lines.append(f"gzip {gzip_loss(*joined):.3f} nats a byte")
    facts = {
        "count": len(rows),
        "widths_count": len({row["width"] for row in rows}),
        "few": len(rows) - len(more),
        "more": ", ".join(more) or "none",
        "training_tokens": f"{len(ids):,}",
        "epochs": f"{own.tokens / len(ids):.1f}",
        "windows": TEST_WINDOWS,
        "losses": table(rows),
        "baselines": ", ".join(lines) + ".",
        "steps": not_falling(rows, home),
        "prompt": PROMPT,
        "samples": "\n".join(f"- {name}: {text}" for name, text in samples.items()),
        "largest": f"{max(row['params_nonembedding'] for row in rows):,}",
    }
    with replacing(card) as temporary:
        temporary.write_text(Template(template.read_text()).substitute(vars(own) | {"tokens": f"{own.tokens:,}"} | facts))


def loss_record(row: Mapping[str, Any]) -> LadderLoss:
    """A model's row: the columns that are not of the model are losses."""
    own = {field.name for field in fields(LadderLoss)} & set(row)
    return LadderLoss(**{name: row[name] for name in own}, losses={name: row[name] for name in row if name not in own})


def measured_bytes(ids: np.ndarray, words, recipe: Recipe) -> float:
    """UTF-8 bytes of a scored token, on average: in a byte-level vocabulary each character of a token stands for a byte."""
    scored = windows(ids, recipe)[:, 1:]
    size = np.array([len(token) for token in words.convert_ids_to_tokens(range(len(words)))])
    size[words.all_special_ids] = 0
    return float(size[scored].mean())


def continuation(model, words) -> str:
    """One sampled continuation, on one line."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ids = words(PROMPT, return_tensors="pt")["input_ids"].to(model.device)
        drawn = model.generate(ids, do_sample=True, temperature=0.8, top_k=0, max_new_tokens=48, pad_token_id=0)
    return " ".join(words.decode(drawn[0, ids.shape[1] :], skip_special_tokens=True).split())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of all columns."""
    cells = [list(rows[0]), ["---"] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def not_falling(rows: Sequence[Mapping[str, Any]], corpus: str) -> str:
    """Steps of the ladder that do not lower the loss, averaged over seeds."""
    widths = sorted({row["width"] for row in rows})
    means = [float(np.mean([row[f"loss_{corpus}"] for row in rows if row["width"] == width])) for width in widths]
    steps = pairwise(zip(widths, means, strict=True))
    stuck = [f"{small} to {large} ({before:.3f} to {after:.3f})" for (small, before), (large, after) in steps if after >= before]
    return f"Loss does not fall from {', '.join(stuck)}." if stuck else "Loss falls at every step of the ladder."
