"""How much of a layer's spectrum is due to attention sinks?

What would answer it: metrics of texts with and without them (docs/protocol_1.md, where the information sits).
Outputs: results/sinks.parquet, results/sinks_summary.csv."""
