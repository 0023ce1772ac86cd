"""Do distances between documents' hidden states agree with human similarity judgements?

Answered by correlations at every layer, beside baselines without a model (docs/protocol_1.md, where the information sits,
claim 8).
Outputs: results/semantics/, results/semantics.parquet, results/semantics_summary.csv, results/semantics.pdf."""
