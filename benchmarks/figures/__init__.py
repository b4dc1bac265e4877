"""Figures for README.md and notes: run by hand, never part of the tests."""
