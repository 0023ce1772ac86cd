"""Numbers in, dataclasses out: how measurements change with size, data and training."""
