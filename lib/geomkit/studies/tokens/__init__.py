"""Which earlier tokens matter for a token?

What would answer it: choices by each method at equal budgets, scored by the model that sees nothing else (docs/protocol_1.md).
Outputs: results/tokens.parquet, results/tokens_summary.csv, results/token_regression.pdf, results/tokens.html."""
