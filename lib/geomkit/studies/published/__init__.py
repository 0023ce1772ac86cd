"""What do numbers that others published show, held against the same nulls?

Outputs: rows of results/claims.csv."""
