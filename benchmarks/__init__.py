"""Speeds, each as a ratio to a peer that does the same work: ``python -m benchmarks``."""
