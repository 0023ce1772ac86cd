"""The ledger of claims: a run's own and what ships, as a table, pages and a figure; and what is shipped."""
