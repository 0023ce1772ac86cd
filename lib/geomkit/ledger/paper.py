"""The paper's statements, each with the claims and the command that measure it, and how our experiment differs."""

from typing import NamedTuple


class PaperStatement(NamedTuple):
    """A statement of arXiv 2402.03471 in our words. claims: names in the ledger; record: the table that ships with what was
    measured, empty where nothing was."""

    part: str
    statement: str
    claims: tuple[str, ...]
    record: str
    differs: str


UNREAD = "We could not read which models, texts, lengths and layers the paper took."
OF_PAPER = (
    PaperStatement(
        "abstract",
        "Normalised representation entropy is a power of model size.",
        ("normalised entropy falls beyond width", "the sign follows tokens per dimension", "the normaliser makes the law"),
        "scaling/pairs.csv",
        f"{UNREAD} Ours are GPT-NeoX models of one recipe, with a null for width and a bound for texts of any length.",
    ),
    PaperStatement(
        "abstract",
        "Conditional entropy given what a model holds explains the scaling law of the loss.",
        ("models hold the most frequent facts",),
        "theory/conclusions.csv",
        "We could read no experiment of the paper's. We plant facts of known frequency, and look which are held.",
    ),
    PaperStatement(
        "abstract",
        "The information gain of a new token is a ridge regression on its past.",
        ("gain is a ridge regression",),
        "theory/conclusions.csv",
        "The same identity, with one distortion for all lengths.",
    ),
    PaperStatement(
        "abstract",
        "Lasso selects meaningful tokens, and sometimes outperforms attention weights.",
        ("Lasso sometimes outperforms attention in reconstruction", "Lasso outperforms attention for the prediction"),
        "tokens_summary.csv",
        f"{UNREAD} We score reconstruction on coordinates that Lasso has not seen, and add the model's own prediction.",
    ),
    PaperStatement(
        "abstract",
        "Information is distributed over tokens, rather than concentrated in meaningful ones.",
        ("information is spread over tokens",),
        "ablation_summary.csv",
        f"{UNREAD} We compare with the context of another document's target.",
    ),
    PaperStatement(
        "accounts by others",
        "The entropy is divided by the most that unit rows can reach, (n + d) / 2 d ln(1 + 1 / eps^2).",
        ("the normaliser makes the law",),
        "scaling/verdicts.csv",
        "Fewer rows than dimensions cannot reach it. We print it beside the bound of n rows in d dimensions.",
    ),
    PaperStatement(
        "accounts by others",
        "Mean vectors and covariances of hidden states show how similar sentences are.",
        ("hidden states judge likeness better than words",),
        "semantics_summary.csv",
        f"{UNREAD} We compare with people's judgements of 50 documents, beside TF-IDF.",
    ),
    PaperStatement(
        "implied by its theory",
        "A model holds the most frequent skills, and a larger one more of them.",
        ("models hold the most frequent facts",),
        "theory/conclusions.csv",
        "Skills are planted facts, each in texts of its own (docs/theory.md).",
    ),
    PaperStatement(
        "limits, future work",
        "We could not read what the paper says of them.",
        (),
        "",
        "Ours are in docs/limits.md. Configurations for Pythia, OPT and Cerebras-GPT are ready; none of them has been run here.",
    ),
)
