"""Audit of a function, rewrites, repairs."""
