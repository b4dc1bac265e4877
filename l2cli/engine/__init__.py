"""Rows in, unit rows and norms out.

Normalization, checking and arrays in memory use it. It knows nothing of files and formats.
"""
