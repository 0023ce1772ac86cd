"""What do published measurements show, compared with the same nulls?

Outputs: rows of results/claims.csv."""
