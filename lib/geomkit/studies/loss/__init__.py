"""Which law does the loss follow in model size and data, and does a metric predict it better than both?

Answered by three forms of law, tested against the scatter of seeds and on sizes left out, and by errors and partial
correlations of metrics once size and data are known (docs/protocol_1.md, laws with model size).
Outputs: loss_laws.json, loss_regions.csv, loss_axes.json, entropy_loss.json and data_laws.json in results/scaling/,
results/losses_plot.pdf, results/data_plot.pdf."""
