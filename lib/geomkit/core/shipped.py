"""Results that ship with the project, and the commands that make them.

A file ships in `workflow/resources` under the name that it has in `results/`: what claims read in `findings`, what is trained in
`ladder`.
"""

from pathlib import Path
from typing import NamedTuple


class Shipped(NamedTuple):
    """A file of the results that ships, or a pattern for files and folders that replace all that shipped of it before.

    path: below `results/`. stage: that of the configuration whose default targets make it, if the stage has models. run: the
    configuration in `workflow/config` whose run in `runs/` makes what ships; the default one has no name. target: what to ask
    Snakemake for, if not the file. whole: a file that is there once all of a pattern's files are; if the pattern has none then,
    none ships.
    """

    path: str
    stage: str = ""
    run: str = ""
    target: str = ""
    whole: str = ""

    @property
    def results(self) -> Path:
        """Folder of results that it is copied from."""
        return Path("runs", self.run, "results") if self.run else Path("results")

    @property
    def command(self) -> str:
        """Command that makes it."""
        run = f" --directory runs/{self.run} --configfile workflow/config/{self.run}.yaml" if self.run else ""
        return f"snakemake --cores 2 {self.target or f'results/{self.path}'}{run}"

    @property
    def place(self) -> Path:
        """Path where it ships, below `workflow/resources`."""
        return Path("." if self.path.startswith("ladder/") else "findings", self.path)


FINDINGS = (
    Shipped("scaling/pairs.csv", stage="entropy", run="all-widths"),
    Shipped("scaling/residuals.csv", stage="entropy", run="all-widths"),
    Shipped("scaling/verdicts.csv", stage="entropy", run="controls"),
    Shipped("scaling/growth.csv", stage="entropy"),
    Shipped("scaling/loss_axes.json", stage="entropy"),
    Shipped("scaling/entropy_loss.json", stage="entropy"),
    Shipped("scaling/data_laws.json", stage="entropy"),
    Shipped("scaling/trends.csv", run="controls"),
    Shipped("scaling/fixed_width.csv", run="controls"),
    Shipped("scaling/own_directions.csv", run="directions"),
    Shipped("sag/sags.csv", run="sag"),
    Shipped("sag/widths.csv", run="sag"),
    Shipped("sag/causes.csv", run="sag"),
    Shipped("tokens_summary.csv", stage="tokens", run="tokens"),
    Shipped("ablation_summary.csv", stage="ablation", run="experiments"),
    Shipped("components_summary.csv", stage="components", run="experiments"),
    Shipped("sinks_summary.csv", stage="ablation", run="experiments"),
    Shipped("width_share/exponents.csv", run="width_share"),
    Shipped("width_share/points.csv", run="width_share"),
    Shipped("width_share/predictions.csv", run="width_share"),
    Shipped("one_token.csv", run="one_token"),
    Shipped("next_token.csv", run="next_token"),
    Shipped("word_order.csv", run="word_order"),
    Shipped("word_order_laws.csv", run="word_order"),
    Shipped("semantics_summary.csv", stage="semantics", run="semantics"),
    Shipped("needle/needle.csv"),
    Shipped("theory/conclusions.csv", run="controls"),
    Shipped("mlp_width/laws.csv", run="mlp-width"),
    Shipped("axes/width_depth.csv"),
    Shipped("axes/tied.csv"),
    Shipped("axes/rates.csv"),
    Shipped("axes/seeds.csv"),
    Shipped("trajectory/turns.csv"),
    Shipped("trajectory/laws.csv"),
    Shipped("portraits/references.csv", run="all-widths"),
)
"""Tables that ship: claims read some of them, and the rest is there to be read. A run's own ledger reads its own results."""
TRAININGS = (
    Shipped("theory/training/facts.csv"),
    Shipped("theory/training/small_steps.csv"),
    Shipped("theory/training/step_radii.csv"),
    Shipped("ladder/README.md", target="ladder"),
    Shipped("ladder/tokenizer", target="ladder", whole="ladder/README.md"),
    Shipped("ladder/ladder-*", target="ladder", whole="ladder/README.md"),
    Shipped("ladder/more/ladder-*", target="ladder", whole="ladder/README.md"),
    Shipped("ladder/losses.csv", target="ladder"),
    Shipped("ladder/training_runs.csv", target="ladder"),
    Shipped("ladder/sweep.csv"),
    Shipped("ladder/training_grid.csv"),
    Shipped("ladder/controls.csv"),
    Shipped("ladder/controls.parquet"),
    Shipped("ladder/controls/ladder-*-mlp16-s*", target="results/ladder/controls.csv", whole="ladder/controls.csv"),
    Shipped("ladder/steps.csv"),
    Shipped("ladder/steps/ladder-*", target="results/ladder/steps.csv", whole="ladder/steps.csv"),
)
"""Results of trainings that take days, from which stages begin: planted facts, small steps, and the ladder."""
