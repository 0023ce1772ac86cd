"""Tidy tables and typed rows: one schema, one reader; and findings, the registry of claims."""
