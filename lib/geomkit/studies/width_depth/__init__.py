"""Do metrics and the loss follow width, depth or parameters, where these part?

What would answer it: regressions on trainings beside the ladder (docs/protocol_1.md, other axes than size).
Outputs: results/axes/, results/controls_plot.pdf."""
