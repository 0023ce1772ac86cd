"""How far do hidden states spread over directions at each layer, compared with untrained models, shuffled text and random rows?

What would answer it: every spectral metric of every text and of the corpus, with bound and nulls.
Outputs: results/spectra/, results/entropy.parquet, results/points.csv, results/entropy_layers.pdf."""
