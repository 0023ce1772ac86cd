"""How much of a law with model size does width account for, where texts grow with width?

Answered at n = r d tokens by exponents beside those of projected rows, and by what widths and r alone predict
(docs/protocol_results.md, how much width accounts for).
Outputs: results/width_share/, results/width_share.pdf, on request.
"""
