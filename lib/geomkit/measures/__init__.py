"""Arrays in, dataclasses out: what a cloud of token vectors shows."""
