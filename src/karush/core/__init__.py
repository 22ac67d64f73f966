"""Errors, status words, precision and the door where pytrees become flat arrays."""
