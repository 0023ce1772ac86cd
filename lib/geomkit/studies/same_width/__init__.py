"""What differs between models of one width: trained or not, text or shuffled text, one seed or another?

What would answer it: differences of logarithms with intervals over documents and seeds (docs/protocol_1.md, models of one width).
Outputs: results/final_state/, results/scaling/fixed_width.csv."""
