"""Does a metric change with model size beyond the effect of width alone?

What would answer it: slopes on ln N beside those of projected donors (docs/protocol_1.md, laws with model size; docs/protocol.md).
Outputs: results/scaling/ (slopes, verdicts, differences, growth, own_directions), results/scaling_plot.pdf, results/nulls_plot.pdf."""
