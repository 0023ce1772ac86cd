"""Does removing tokens locate a fact that was inserted into filler text?

What would answer it: the two rules that docs/protocol_1.md fixed. Outputs: results/needle/needle.csv."""
