"""Datasets read and written without HDF5, where their storage allows."""
