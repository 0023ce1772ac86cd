"""Laws of size, data and training: numbers in, dataclasses out."""
