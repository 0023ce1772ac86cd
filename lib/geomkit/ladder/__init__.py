"""How the shipped models were trained, and what was measured beside them."""
