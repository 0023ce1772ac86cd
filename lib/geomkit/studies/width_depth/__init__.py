"""Do metrics and the loss follow width, depth or parameters, where these differ?

What would answer it: regressions on trainings beside the ladder (docs/protocol_1.md, other axes than size).
Outputs: results/axes/, results/controls_plot.pdf."""
