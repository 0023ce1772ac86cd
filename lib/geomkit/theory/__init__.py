"""The theory of skills behind scaling laws, planted facts and small steps: closed forms, tests, claims and the figure.

Question: do losses of models, of facts that were planted, and of small steps of their weights follow the theory's arithmetic?
What would answer it: the tests that docs/protocol_1.md (theory of skills) and docs/protocol_facts.md number.
Outputs: results/theory/, results/theory_check.pdf."""
