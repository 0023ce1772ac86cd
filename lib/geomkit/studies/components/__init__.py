"""What do attention and MLP sublayers each contribute to a model's hidden states and predictions?

What would answer it: metrics after it, and the loss and metrics of the model without it (docs/protocol_1.md, where the information
sits). Outputs: results/components.parquet, results/components_summary.csv, results/components.pdf."""
