"""Theorems about points: existence and uniqueness of KKT points, strict and global minima, in ball arithmetic."""
