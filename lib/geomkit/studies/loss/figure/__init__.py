"""Figures of the loss: laws with model size, and laws with data."""
