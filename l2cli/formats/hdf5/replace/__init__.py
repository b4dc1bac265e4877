"""Datasets that take the place of others in a copy of their file."""
