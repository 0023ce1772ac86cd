"""The command `geomkit`: portraits of models without a workflow."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from geomkit.core.logs import explain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status; an error that a user can act on is one line."""
    parser = argparse.ArgumentParser(prog="geomkit", description="Measure the geometry of language models' hidden states.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_portrait(commands.add_parser("portrait", help="one model on some texts, or two models compared: a page for a browser"))
    chosen = parser.parse_args(arguments)
    try:
        return make_portrait(chosen)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(line, file=sys.stderr)
        return 1


def add_portrait(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `geomkit portrait`."""
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
    """Measure, write the output, and print its sentences."""
    from geomkit.studies.portrait.run import called, compare, portrait

    names = ("count", "length", "device", "dtype", "objective", "trust_remote_code", "seed")
    options = {name: getattr(chosen, name) for name in names}
    if chosen.against:
        made = compare(chosen.model, chosen.against, chosen.texts, **options)
        stem = f"{called(chosen.model)}-vs-{called(chosen.against)}"
    else:
        made = portrait(chosen.model, chosen.texts, **options)
        stem = called(chosen.model)
    path = made.save(chosen.out or Path(f"{stem}.html"))
    print(made, path, sep="\n")
    return 0
