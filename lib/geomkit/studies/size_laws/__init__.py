"""Does a metric change with model size beyond the effect of width alone?

Answered by the pair model of measured and projected widths (docs/protocol.md); version 1's verdicts stand beside
(docs/protocol_1.md, laws with model size).
Outputs: pairs.csv, residuals.csv, slopes.csv, null_slopes.csv, fits.json, verdicts.csv, differences.csv, growth.csv,
diff_erank.csv and own_directions.csv
in results/scaling/, results/projections/, results/resamples/, results/scaling_plot.pdf, results/nulls_plot.pdf."""
