"""Rows in, unit rows and norms out."""
