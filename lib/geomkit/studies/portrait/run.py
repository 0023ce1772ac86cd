"""Portraits without Snakemake: of a model in memory, in a folder, in a GGUF file or on the hub, on texts of any kind."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from geomkit.core.config import CAUSAL, ModelSpec
from geomkit.core.errors import ConfigError, DataError
from geomkit.core.provenance import digest
from geomkit.measures.entropy import metrics
from geomkit.models.convert import convert_model
from geomkit.models.cutting import WHOLE, passages, sample, tokenizer_sha256
from geomkit.models.load import load_tokenizer
from geomkit.models.stream import Runs, runs_on
from geomkit.models.variants import Bench, MemoryBench
from geomkit.sources.corpora import READER_OF, Document, read_documents
from geomkit.sources.fetch import model_from_hub, texts_from_hub
from geomkit.states.spectra import Spectra
from geomkit.states.texts import Sample, StoredTexts
from geomkit.studies.portrait.analyse import portrait_table
from geomkit.studies.portrait.compare import comparison_table
from geomkit.studies.portrait.measure import Vocabulary, measure_portrait
from geomkit.studies.portrait.result import Portrait
from geomkit.tables.rows import read_json

Model: TypeAlias = PreTrainedModel | str | Path
Texts: TypeAlias = str | Path | Iterable[Any]


@dataclass(frozen=True)
class Options:
    """Settings of a portrait. The defaults are those of the workflow.

    count, length: how many texts, and of how many tokens; lengths: first tokens of a text that are measured. twins: untrained
    twins; shuffled: whether shuffled texts are measured too. objective, trust_remote_code, device, dtype: of models that are
    loaded. batch_tokens: padded tokens in a batch. column: of a dataset, its text.
    """

    count: int = 100
    length: int = 256
    lengths: Sequence[int] = (64, 256)
    normalise: Sequence[str] = ("unit", "centre-unit")
    twins: int = 1
    shuffled: bool = True
    eps2: float = 0.5
    seed: int = 0
    batch_tokens: int = 8192
    objective: str = CAUSAL
    trust_remote_code: bool = False
    device: str = "auto"
    dtype: str = "float32"
    column: str = "text"

    @property
    def nulls(self) -> list[str]:
        """Variants beside the trained model."""
        return [*(["shuffled"] if self.shuffled else []), *(f"untrained-{seed}" for seed in range(self.twins))]


def portrait(
    model: Model, texts: Texts, *, tokenizer: PreTrainedTokenizerBase | None = None, name: str | None = None, **options: Any
) -> Portrait:
    """Measure one model on some texts, beside an untrained twin, shuffled text and random rows.

    model: a model of transformers, whatever its device and type; a folder; a GGUF file; or the name of a model on the hub.
    texts: a list of texts; a .txt, .md, .jsonl or .parquet file, or a folder of such; a dataset of `datasets`; or the name of one
    on the hub. tokenizer: of a model in memory, that of its `name_or_path` if None. name: what the page calls the model. options:
    fields of `Options`.

    Raises DataError for texts or a model that cannot be read, RefusalError for a model whose states cannot be told, and
    ConfigError for unknown options.
    """
    return Portrait(measured_table(model, texts, tokenizer, name, made_options(options)))


def compare(
    a: Model,
    b: Model,
    texts: Texts,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    names: tuple[str, str] | None = None,
    **options: Any,
) -> Portrait:
    """Measure two models on the same texts: per state the paired difference of every metric, b minus a.

    names: what the page calls them. For the rest see `portrait`. Models whose tokenizers differ read the texts of the first one
    as passages, each in its own tokens; then only the loss per byte and metrics of equally many tokens are compared.
    """
    chosen = made_options({"twins": 0, "shuffled": False, **options})
    documents, corpus = documents_of(texts, chosen.column)
    own_names = list(names) if names else [called(a), called(b)]
    if own_names[0] == own_names[1]:
        own_names = [f"{own_names[0]} (a)", f"{own_names[1]} (b)"]
    with tempfile.TemporaryDirectory() as folder, ready(a, tokenizer, chosen) as one, ready(b, tokenizer, chosen) as two:
        if tokenizer_sha256(one.tokenizer) != tokenizer_sha256(two.tokenizer):
            documents = passages(documents, one.tokenizer, chosen.count, chosen.length, chosen.seed)
            chosen = replace(chosen, count=len(documents), length=WHOLE)
        files = []
        for number, (model, own_name) in enumerate(zip((one, two), own_names, strict=True)):
            files.append(measured(model.runs(own_name, documents, chosen), Path(folder) / str(number), chosen))
        sizes = [read_json(vocabulary, Vocabulary).size for _, vocabulary in files]
        with Spectra(files[0][0]) as first, Spectra(files[1][0]) as second:
            how = (list(metrics), {"eps2": chosen.eps2}, chosen.seed, sizes)
            return Portrait(comparison_table(first, second, own_names, corpus, *how))


def made_options(options: dict[str, Any]) -> Options:
    """Return the options. Raises ConfigError, naming those that there are, for one that is not known."""
    known = list(Options.__dataclass_fields__)
    if unknown := sorted(options.keys() - set(known)):
        raise ConfigError(f"unknown option {unknown[0]!r}; known: {', '.join(known)}")
    return Options(**options)


def measured_table(
    model: Model, texts: Texts, tokenizer: PreTrainedTokenizerBase | None, name: str | None, options: Options
) -> pa.Table:
    """Measure one model, and return the table of its portrait."""
    documents, corpus = documents_of(texts, options.column)
    own_name = name or called(model)
    with tempfile.TemporaryDirectory() as folder:
        with ready(model, tokenizer, options) as one:
            spectra, vocabulary = measured(one.runs(own_name, documents, options), Path(folder), options)
        with Spectra(spectra) as file:
            words = read_json(vocabulary, Vocabulary)
            return portrait_table(file, words, own_name, corpus, list(metrics), {"eps2": options.eps2}, options.seed)


def measured(runs: Runs, folder: Path, options: Options) -> tuple[Path, Path]:
    """Measure a model in a folder of its own; return its file of spectra and that of its words."""
    spectra, vocabulary = folder / "portrait.h5", folder / "words.json"
    how = (options.normalise, options.lengths, options.nulls, list(metrics), options.eps2, options.seed)
    measure_portrait(lambda: runs, spectra, vocabulary, *how)
    return spectra, vocabulary


@dataclass(frozen=True)
class Ready:
    """A model that can be run: its tokenizer, and a function that puts it on a bench with some texts."""

    tokenizer: PreTrainedTokenizerBase
    bench: Callable[[Sample], Bench]

    def runs(self, name: str, documents: Sequence[Document], options: Options) -> Runs:
        """Return the model on texts that its tokenizer cuts."""
        stored = cut_documents(documents, self.tokenizer, options)
        return runs_on(self.bench(stored.sample), stored, name, options.batch_tokens)


@contextmanager
def ready(model: Model, tokenizer: PreTrainedTokenizerBase | None, options: Options) -> Iterator[Ready]:
    """Prepare a model: one in memory is in eval mode inside the block; others are converted or downloaded if they must be."""
    if isinstance(model, PreTrainedModel):
        words, training = tokenizer or tokenizer_of(model), model.training
        try:
            yield Ready(words, lambda texts: MemoryBench.of(model.eval(), words, texts, options.seed))
        finally:
            model.train(training)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(model, Path(scratch) / "model")
        spec = ModelSpec(folder, options.objective, options.trust_remote_code, options.device, options.dtype)
        yield Ready(tokenizer or load_tokenizer(spec), lambda texts: Bench(spec, texts, options.seed))


def tokenizer_of(model: PreTrainedModel) -> PreTrainedTokenizerBase:
    """Load the tokenizer from where a model in memory was loaded. Raises ConfigError if there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.name_or_path)
    except (OSError, ValueError) as reason:
        why = str(reason).partition("\n")[0]
        raise ConfigError(
            f"no tokenizer is found at {model.name_or_path!r}, where the model is from ({why}); hand one over: tokenizer="
        ) from None


def model_folder(model: str | Path, scratch: Path) -> Path:
    """Return the folder that a model is loaded from: its own, or one that is made of a GGUF file, or downloaded from the hub."""
    path = Path(model).expanduser()
    if path.is_dir() and not list(path.glob("*.gguf")):
        return path
    if path.exists():
        convert_model(path, scratch)
        return scratch
    name, _, revision = str(model).partition("@")
    if str(model).count("/") != 1 or str(model).startswith(("/", ".", "~")):
        raise DataError(f"{model}: no such folder or file, nor a name on the hub, such as owner/name or owner/name@revision")
    downloaded = scratch.parent / "downloaded"
    model_from_hub(name, revision or "main", downloaded)
    convert_model(downloaded, scratch)
    return scratch


def documents_of(texts: Texts, column: str) -> tuple[list[Document], str]:
    """Read documents, and name their corpus. Raises DataError where there is no text."""
    if isinstance(texts, str | Path):
        path = Path(texts).expanduser()
        if path.exists():
            documents, name = list(read_documents(path, reader_of(path), None if column == "text" else column)), path.stem
        elif str(texts).count("/") <= 1 and not str(texts).startswith((".", "~", "/")) and not path.suffix:
            with tempfile.TemporaryDirectory() as folder:
                texts_from_hub(str(texts), Path(folder) / "texts", None, column=column)
                documents = list(read_documents(Path(folder) / "texts", "parquet"))
            name = str(texts).rpartition("/")[2]
        else:
            raise DataError(f"{texts}: no such file or folder")
    else:
        rows = [row[column] if isinstance(row, dict) else row for row in texts]
        if wrong := [row for row in rows if not isinstance(row, str)]:
            raise DataError(f"texts must be strings, found {type(wrong[0]).__name__}")
        documents, name = [Document(f"text {number}", row) for number, row in enumerate(rows, 1)], "texts"
    if not any(document.text.strip() for document in documents):
        raise DataError(f"{texts if isinstance(texts, str | Path) else 'texts'}: there is no text")
    return documents, name


def reader_of(path: Path) -> str:
    """Return the reader of a file by its ending, or of a folder by that of most of its files."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    endings = [file.suffix.lower() for file in files if file.suffix.lower() in READER_OF]
    if not endings:
        raise DataError(f"{path}: no text is read from it; known endings: {', '.join(READER_OF)}")
    return READER_OF[max(sorted(set(endings)), key=endings.count)]


def cut_documents(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, options: Options) -> StoredTexts:
    """Cut texts as the workflow does. Raises DataError where no text has two tokens."""
    new = sample(documents, tokenizer, options.count, options.length, options.seed)
    attributes = {
        **new.facts,
        "tokenizer sha256": tokenizer_sha256(tokenizer),
        "corpus sha256": digest(*documents),
        "seed": options.seed,
    }
    return StoredTexts(new, np.zeros(len(tokenizer), dtype=np.int64), attributes)


def called(model: Model) -> str:
    """Return a name for a model."""
    if isinstance(model, PreTrainedModel):
        return Path(str(model.name_or_path)).name or type(model).__name__
    return Path(model).stem if str(model).endswith(".gguf") else Path(model).name
