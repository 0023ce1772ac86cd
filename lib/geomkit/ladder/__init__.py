"""The ladder: how the shipped models were trained, and what was measured on them and on trainings beside them."""
