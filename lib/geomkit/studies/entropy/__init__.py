"""How much do hidden states spread, at each layer, beside rows of no model?

What would answer it: every spectral metric of every text and of the corpus, with bound and nulls.
Outputs: results/spectra/, results/entropy.parquet, results/points.csv, results/entropy_layers.pdf."""
