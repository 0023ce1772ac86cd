"""Do distances between documents' hidden states agree with human similarity judgements?

What would answer it: correlations by layer beside baselines that know no model (docs/protocol_1.md, where the information sits).
Outputs: results/semantics.parquet, results/semantics_summary.csv, results/semantics.pdf."""
