"""Shared foundations: errors, the configuration, the plan of a run, jobs and their digests, logs, atomic writes.

Everything may import this package.
"""
