"""How do metrics change during training, and do they follow the loss?

Answered by turning points that seeds and documents agree on, and by partial correlations with the loss while the step is fixed
(docs/protocol_1.md, other axes than size).
Outputs: results/trajectory/, results/trajectory_plot.pdf, on request."""
