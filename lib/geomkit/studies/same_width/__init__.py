"""How do models of one width differ: trained or untrained, on text or shuffled text, with one seed or another?

What would answer it: differences of logarithms with intervals over documents and seeds (docs/protocol_1.md, models of one width).
Outputs: results/final_state/, results/scaling/fixed_width.csv."""
