"""Do losses of models, planted facts and small steps of training follow the theory of skills behind scaling laws?

Answered by the tests that docs/protocol_1.md (theory of skills) and docs/protocol_facts.md number, beside what a rival
predicts.
Outputs: results/theory/, results/theory_check.pdf, on request."""
