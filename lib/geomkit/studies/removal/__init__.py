"""Is the information about a token spread over its context, or does it sit in a few tokens?

Answered by what growing removals, in orders of importance and in random orders, do to the token's ridge regression and to the
model's prediction (docs/protocol_1.md, where the information sits, claims 1 to 4).
Outputs: results/removals/, results/ablation/, results/ablation.parquet, results/ablation_summary.csv, results/ablation.pdf."""
