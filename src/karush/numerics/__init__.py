"""Stable functions: accurate in value and derivative over the whole float range."""
