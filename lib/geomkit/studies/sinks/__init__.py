"""How much of a layer's spectrum is due to attention sinks?

Answered by metrics of texts with and without their sinks (docs/protocol_1.md, where the information sits, claim 7).
The stage `ablation` selects its models. Rows: `SinkEffect` in `geomkit.tables.experiments`.
Outputs: results/sinks/, results/sinks.parquet, results/sinks_summary.csv, and pages of results/ablation.pdf."""
