"""Measures of a set of token vectors: arrays in, dataclasses out."""
