"""What do attention and MLP sublayers each contribute to a model's hidden states and predictions?

Answered by the metrics after each sublayer, and by the loss and metrics of the model with that sublayer ablated
(docs/protocol_1.md, where the information sits, claims 5 and 6).
Outputs: results/components/, results/components.parquet, results/components_summary.csv, results/components.pdf."""
