"""Which law does the loss follow in model size and data, and does a metric predict it better than both?

What would answer it: forms held against seeds and a size left out; partial correlations at equal size and data.
Outputs: results/scaling/ (loss_laws, loss_axes, entropy_loss, data_laws), results/losses_plot.pdf, results/data_plot.pdf."""
