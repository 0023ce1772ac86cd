"""Figures of the theory of skills: its tests beside measurements, and the claims."""
