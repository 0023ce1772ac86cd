"""Does removing tokens locate a fact that was inserted into filler text?

Answered by the second of the two rules in docs/protocol_1.md.
Output: results/needle/needle.csv, on request."""
