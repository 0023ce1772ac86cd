"""Tests of the theory: each result beside the predictions of the theory and of a rival."""
