"""Studies: each folder asks one question, and has its measurements, rows, analysis, claims and figure."""
