"""Tidy tables and typed rows: one schema, one reader; findings and the registry of claims."""
