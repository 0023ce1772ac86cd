"""How do metrics change during training, and do they follow the loss?

What would answer it: extremes that seeds and documents do not undo, and partial correlations at equal steps (docs/protocol_1.md,
other axes than size). Outputs: results/trajectory/, results/trajectory_plot.pdf."""
