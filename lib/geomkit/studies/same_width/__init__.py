"""How do models of one width differ: trained or untrained, on text or shuffled text, with one seed or another?

Answered by differences of logarithms at each width, with intervals over documents, seeds and twins; models of one width need
no null for width (docs/protocol_1.md, controls at fixed width).
Outputs: results/final_state/, results/word_order/, results/scaling/fixed_width.csv and trends.csv, on request."""
