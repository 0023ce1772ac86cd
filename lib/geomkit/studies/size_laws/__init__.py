"""Does a metric change with model size beyond the effect of width alone?

Answered by a metric's slope on ln N minus that of the projected null (docs/protocol_1.md, laws with model size;
docs/protocol.md).
Outputs: slopes.csv, null_slopes.csv, fits.json, verdicts.csv, differences.csv, growth.csv, diff_erank.csv and own_directions.csv
in results/scaling/, results/projections/, results/resamples/, results/scaling_plot.pdf, results/nulls_plot.pdf."""
