"""The ledger of claims, of a run and of what ships, as a table, pages and a figure; and the command that ships results."""
