"""How do the spectra of MLP hidden states grow with the MLP's width, and how much of that is width alone?

Jha and Reagen (EMNLP 2025, arXiv 2510.00537) call exp of the entropy of covariance eigenvalues soft rank (`erank_covariance`) and
their participation ratio hard rank (`participation_ratio`): soft rank is a power of the MLP's width, hard rank grows less and
scatters. Measured after the last block's activation, on all tokens of a corpus, in families whose models differ in width, and
where the MLP alone is wider. Nulls: a wider MLP's states on as many leading directions, and untrained twins. No protocol fixed
this beforehand: it explores. Outputs, on request: results/mlp_width/ and results/mlp_width_plot.pdf, by the configuration
workflow/config/mlp-width.yaml.
"""
