"""The command `geomkit`: portraits of models without a workflow, the workflow without a clone, and a run's tables for the hub."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from geomkit.core.errors import ConfigError
from geomkit.core.logs import explain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status; an error that a user can act on is one line."""
    parser = argparse.ArgumentParser(prog="geomkit", description="Measure the geometry of language models' hidden states.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_portrait(commands.add_parser("portrait", help="one model on some texts, or two models compared: a page for a browser"))
    plot = commands.add_parser(
        "plot",
        help="run the workflow here: results/scaling_plot.pdf, or other targets, which come first, and options of snakemake",
    )
    plot.set_defaults(run=make_plot)
    add_publish(
        commands.add_parser("publish", help="write the tables of a run as a dataset for the hub, and upload it if told to")
    )
    path = commands.add_parser("path", help="print the folder with the workflow's Snakefile")
    path.set_defaults(run=lambda chosen: print(project()) or 0)
    chosen, options = parser.parse_known_args(arguments)
    chosen.options = options
    if options and chosen.command != "plot":
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    try:
        return chosen.run(chosen)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(line, file=sys.stderr)
        return 1


def add_portrait(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `geomkit portrait`."""
    parser.set_defaults(run=make_portrait)
    parser.add_argument("model", help="a folder, a GGUF file, or a name on the hub: owner/name or owner/name@revision")
    parser.add_argument(
        "--texts", required=True, help="a file or a folder of .txt, .md, .jsonl or .parquet, or a dataset on the hub"
    )
    parser.add_argument("--against", help="another model, to compare with on the same texts")
    parser.add_argument(
        "--out", type=Path, help="the page (.html), figure (.pdf) or table (.parquet, .csv); by default MODEL.html"
    )
    parser.add_argument("--count", type=int, default=100, help="number of texts (default: 100)")
    parser.add_argument("--length", type=int, default=256, help="tokens of a text (default: 256)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--objective", default="causal", choices=["causal", "masked"])
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--seed", type=int, default=0)


def make_portrait(chosen: argparse.Namespace) -> int:
    """Measure, write the output, and print its sentences. An output that cannot be written is refused before."""
    from geomkit.studies.portrait.result import savable
    from geomkit.studies.portrait.run import called, compare, portrait

    known = ("count", "length", "device", "dtype", "objective", "trust_remote_code", "seed")
    options = {name: getattr(chosen, name) for name in known}
    names = "-vs-".join(called(model) for model in (chosen.model, chosen.against) if model)
    path = savable(chosen.out or Path(f"{names}.html"))
    if chosen.against:
        made = compare(chosen.model, chosen.against, chosen.texts, **options)
    else:
        made = portrait(chosen.model, chosen.texts, **options)
    made.save(path)
    print(made, path, sep="\n")
    return 0


def add_publish(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `geomkit publish`."""
    parser.set_defaults(run=make_dataset)
    parser.add_argument("results", type=Path, help="the results folder of a run")
    parser.add_argument("--repo", required=True, help="name of the dataset on the hub, owner/name")
    parser.add_argument("--out", type=Path, help="folder to write; by default the last part of the name")
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="the run's configuration files, which are published with it"
    )
    parser.add_argument("--upload", action="store_true", help="also upload the folder; nothing uses the network without this")
    parser.add_argument("--private", action="store_true", help="create the dataset as a private one")


def make_dataset(chosen: argparse.Namespace) -> int:
    """Write the dataset, upload it if told to, and print where it is."""
    from geomkit.sources.publish import publish

    folder = chosen.out or Path(chosen.repo.rpartition("/")[2])
    defaults = project() / "config.yaml"
    print(publish(chosen.results, chosen.repo, folder, chosen.configfile, defaults, chosen.upload, chosen.private))
    return 0


def project() -> Path:
    """Return the folder with the workflow's Snakefile: of an installed package, or of a clone."""
    installed = Path(__file__).with_name("project")
    return installed if installed.exists() else Path(__file__).parents[2]


def make_plot(chosen: argparse.Namespace) -> int:
    """Run the workflow in the working directory. Raises ConfigError where Snakemake is not installed."""
    if find_spec("snakemake") is None:
        raise ConfigError("the workflow needs Snakemake: pip install 'geomkit[all]'")
    named = chosen.options[:1] and not chosen.options[0].startswith("-")
    given = any(re.match(r"--cores(=|$)|-c\d*$", word) for word in chosen.options)
    cores = [] if given else ["--cores", str(os.cpu_count() or 1)]
    targets = [] if named else ["results/scaling_plot.pdf"]
    command = [sys.executable, "-m", "snakemake", *targets, *chosen.options, *cores, "--snakefile", str(project() / "Snakefile")]
    return subprocess.run(command, check=False).returncode
