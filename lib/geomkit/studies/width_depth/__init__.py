"""Do metrics and the loss follow width, depth or parameters, where these differ?

Answered by regressions on the ladder and on trainings beside it (docs/protocol_1.md, other axes than size).
Outputs: results/axes/, results/controls_plot.pdf, on request."""
