"""Every causal and masked architecture of transformers, made tiny, against transformers' own numbers.

    python tests/conformance [model type ...]

Without arguments, writes tests/conformance/result.csv and docs/architectures.md. Fails where a number is not
transformers' own.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from conformance.checking import DIFFERENT, Outcome, check, page, write  # noqa: E402
from conformance.tiny import NAMES  # noqa: E402


def main(chosen: list[str]) -> None:
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="conformance-") as top:
        for objective, names in NAMES.items():
            for name in names:
                if not chosen or name in chosen:
                    outcomes.append(check(objective, name, Path(top) / name))
                    print(*vars(outcomes[-1]).values(), sep="  ", flush=True)
    if not chosen:
        write(outcomes, HERE / "result.csv")
        (HERE.parents[1] / "docs/architectures.md").write_text(page(outcomes, transformers.__version__))
    if any(each.outcome == DIFFERENT for each in outcomes):
        raise SystemExit("something measured is not transformers' own")


if __name__ == "__main__":
    main(sys.argv[1:])
