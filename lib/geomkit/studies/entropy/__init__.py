"""How far do hidden states spread over directions at each layer, compared with untrained models, shuffled text and random rows?

Answered by every metric of every text and of the corpus, with its bound and its nulls. This measures, and claims nothing: the
other studies read its tables.
Outputs: results/spectra/, results/entropy/, results/nulls/, results/entropy.parquet, results/points.csv,
results/entropy_layers.pdf."""
