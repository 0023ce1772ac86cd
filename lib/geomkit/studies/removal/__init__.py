"""Is the information about a token spread over its context, or does it sit in a few tokens?

What would answer it: what growing removals, in orders of importance and of chance, do to its regression and its prediction
(docs/protocol_1.md, where the information sits). Outputs: results/removals/, results/ablation.parquet, results/ablation.pdf."""
