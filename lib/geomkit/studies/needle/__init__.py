"""Does removing tokens find where a fact is that was put into filler?

What would answer it: the two rules that docs/protocol_1.md fixed. Outputs: results/needle/needle.csv."""
