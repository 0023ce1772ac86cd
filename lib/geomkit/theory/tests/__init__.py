"""Tests of the theory: what each found beside what the theory predicts and what a rival does."""
