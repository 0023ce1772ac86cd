"""Why does a token's information gain predict the surprisal of the next token?

Answered by partial rank correlations given the entropy of the prediction (docs/protocol_results.md, gain and the next token).
Outputs: results/next_token/, results/next_token.csv, results/next_token.pdf.
"""
