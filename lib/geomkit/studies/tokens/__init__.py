"""Which earlier tokens matter for a token?

Answered by each token's information gain beside its surprisal, and by each method's selection at equal budgets, scored by the
model's prediction from the selected tokens alone and by reconstruction. No protocol fixes them: they are exploratory.
Outputs: results/probes/, results/tokens/, results/selection/, results/tokens.parquet, results/tokens_summary.csv,
results/token_regression.pdf, results/tokens.html."""
