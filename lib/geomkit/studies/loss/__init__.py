"""Which law does the loss follow with model size and data, and does a metric say more about it than both?

What would answer it: forms held against seeds and a size left out; partial correlations at equal size and data.
Outputs: results/scaling/ (loss_laws, loss_axes, entropy_loss, data_laws), results/losses_plot.pdf, results/data_plot.pdf."""
