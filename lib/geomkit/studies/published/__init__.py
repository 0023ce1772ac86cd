"""What do published measurements show, compared with the same nulls?

Answered by slopes of published tables on ln N beside the two nulls for width that need no tokens. Published tables are read
where others compute (the studies of size laws, of one width, and of the loss); this study has their rows, and the claims about
them.
Outputs: rows of results/claims.csv."""
