"""Cost against the length of the text, on log axes in cost.png: gains of all prefixes, and Lasso supports of 64 targets."""

import runpy
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from geomkit.figures.style import COLOURS
from geomkit.measures.gain import information_gain

HERE = Path(__file__).parent
LENGTHS = (64, 128, 256, 512)
ROUNDS = 3


def main() -> None:
    gain, lasso = (runpy.run_path(str(HERE / f"{name}.py")) for name in ("gain", "lasso"))
    seconds, costs = lasso["seconds"], {}
    lasso["geomkit"](lasso["synthetic"](70, 8))
    for tokens in LENGTHS:
        rows, Z = gain["hidden_states"](tokens, gain["WIDTH"]), lasso["synthetic"](tokens)
        penalties = np.array([path.penalty for path in lasso["geomkit"](Z)])
        routes = {
            "gains, one Cholesky factor": partial(information_gain, rows, gain["EPS2"]),
            "gains, a Ridge of scikit-learn for each token": partial(gain["loop"], rows),
            "Lasso, homotopy": partial(lasso["geomkit"], Z),
            "Lasso, lars_path_gram of scikit-learn": partial(lasso["lars"], Z, penalties),
        }
        for name, spent in seconds(routes, ROUNDS).items():
            costs.setdefault(name, []).append(float(np.median(spent)))
            print(f"{tokens:>5} tokens  {name:<46}{1e3 * costs[name][-1]:>10.2f} ms")
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axis = figure.subplots()
    for number, (name, values) in enumerate(costs.items()):
        axis.loglog(LENGTHS, values, "o-" if number % 2 == 0 else "s--", ms=3.5, color=COLOURS[number // 2], label=name)
    axis.set(xlabel="tokens in the text", ylabel="seconds, one thread", title="rows of 768 columns")
    axis.set_xticks(LENGTHS, LENGTHS)
    axis.minorticks_off()
    axis.legend(fontsize=6, loc="upper left")
    low, high = axis.get_ylim()
    axis.set_ylim(low, 12 * high)
    figure.savefig(HERE / "cost.png", dpi=150)


if __name__ == "__main__":
    main()
