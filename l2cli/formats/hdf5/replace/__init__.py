"""Datasets that replace others in a copy of their file, with all that refers to them."""
