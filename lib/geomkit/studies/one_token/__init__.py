"""How much of a profile over layers can one long token make?

Answered by spectra of texts with and without their longest token, beside the spectrum that lengths alone predict
(docs/protocol_results.md, one token).
Outputs: results/one_token/, results/one_token.csv, results/one_token.pdf.
"""
