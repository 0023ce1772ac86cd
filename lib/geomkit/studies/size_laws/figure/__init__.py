"""Figures of laws with model size: values and laws, differences from nulls, growth."""
