"""Say what was measured: model, texts, versions, and what is absent."""

from collections.abc import Mapping, Sequence
from typing import Any

from geomkit.core.declarations import described
from geomkit.core.variants import TRAINED, VARIANTS, base
from geomkit.states.spectra import Spectra
from geomkit.studies.portrait import attention_panel, readout_panel
from geomkit.studies.portrait.dimension_panel import ESTIMATORS
from geomkit.studies.portrait.profiles import GAUSSIAN, Profiles
from geomkit.studies.portrait.rows import Facts

DECLARED = (
    described("geomkit.measures.nulls", "variant")
    | described("geomkit.models.variants", "variant")
    | described("geomkit.measures.projection", "variant")
)
METRICS = described("geomkit.measures.entropy", "metrics.register")
SIMILARITIES = described("geomkit.measures.similarity", "similarities.register")
BESIDE = {
    "norm_median": ("median norm", "length"),
    "norm_largest": ("largest norm", "length"),
    "norm_first": ("norm of the first token", "length"),
    "sink_share": ("sinks' share of the squared norm", "ratio"),
    "gain": ("information gain", "nats"),
    "surprisal": ("surprisal", "nats"),
    **{name: (str(one.facts["label"]), str(one.facts["unit"])) for name, one in ESTIMATORS.items()},
    "repeated": ("rows that equal an earlier one", "rows"),
    "loss": ("loss", "nats a token"),
    "loss_per_byte": ("loss per byte", "nats a byte"),
    **readout_panel.LABELS,
    **attention_panel.LABELS,
} | {name: (one.facts["label"], one.facts["unit"]) for name, one in SIMILARITIES.items()}
"""Labels and units of quantities that are no metrics of a spectrum."""
BESIDE |= {name: (one.facts["label"], one.facts["unit"]) for name, one in described("geomkit.measures.cosine", "named").items()}
BESIDE |= {name: (one.facts["label"], one.facts["unit"]) for name, one in described("geomkit.measures.valley", "named").items()}
SAID = {
    "model repository": "repository",
    "model package": "package",
    "model path": "path",
    "model member": "file",
    "model revision": "revision",
    "weights sha256": "hash of the weights",
    "objective": "objective",
    "params_total": "parameters",
    "params_nonembedding": "parameters without embeddings",
    "depth": "blocks",
    "dtype": "type of weights and activations",
    "quantization": "quantisation",
    "device": "device",
    "final norm": "final norm",
    "tokenizer sha256": "hash of the tokenizer",
    "prefix": "tokens before each text",
    "corpus sha256": "hash of the corpus",
    "special tokens": "special tokens in documents are read as",
    "weights left out": "weights left out",
    "versions": "versions",
}
"""Attributes of a file of spectra, as the page calls them."""


def facts_of_model(file: Spectra, own: Profiles, model: str, corpus: str, metrics: Sequence[str], command: str) -> Facts:
    """Collect the facts of a portrait."""
    named = {name for name in file.text_list.document}
    texts = f"{len(file.text_list.tokens)} texts of {len(named)} documents, {sum(file.text_list.tokens):,} tokens"
    lengths = ", ".join(map(str, own.lengths))
    measured = [
        ("model", model),
        *((label, shown(file.attributes[key])) for key, label in SAID.items() if key in file.attributes),
        ("width", ", ".join(str(width) for width in sorted(set(own.widths.values())))),
        ("corpus", corpus),
        ("texts", texts),
        *nulls_of(file, own),
        ("lengths", f"first {lengths} tokens of a text, and all tokens together"),
        ("seed", shown(file.attributes.get("seed", ""))),
    ]
    return Facts(
        "portrait",
        (model,),
        corpus,
        measured=tuple(measured),
        absent={name: why for name, why in own.missing.items() if not name.startswith("documents/")},
        command=command,
        labels={**{name: (METRICS[name].facts["label"], METRICS[name].facts["unit"]) for name in metrics}, **BESIDE},
        variants={name: variant_label(name) for name in [TRAINED, *own.variants[1:], GAUSSIAN]},
        texts=tuple(file.text_list.document[text] for text in file.shown(TRAINED, own.last)),
    )


def nulls_of(file: Spectra, own: Profiles) -> list[tuple[str, str]]:
    """Say on which texts nulls were measured, where it is not all of them."""
    documents, most = own.documents, len(own.documents)
    fewest = min((file.measured_texts(name).tolist() for name in own.variants[1:]), key=len, default=[*range(most)])
    named = len({documents[text] for text in fewest})
    return [("nulls of the model", f"{len(fewest)} of these texts, {named} documents")] if len(fewest) < most else []


def variant_label(name: str) -> str:
    """Return the label of a variant; of one of several seeds with its number."""
    labels = {TRAINED: "trained", "shuffled": "tokens shuffled", GAUSSIAN: "Gaussian rows"}
    declared = base(name)
    label = labels.get(declared) or str(DECLARED[declared].facts["short"] if declared in VARIANTS else declared)
    number = name.removeprefix(f"{declared}-") if name != declared else ""
    return f"untrained twin {int(number) + 1}" if declared == "untrained" and number else label


def shown(value: Any) -> str:
    """Format an attribute."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {own}" for key, own in value.items())
    if isinstance(value, str):
        return value
    number = value.item() if hasattr(value, "item") else value
    return f"{number:,}" if isinstance(number, int) else str(number)
