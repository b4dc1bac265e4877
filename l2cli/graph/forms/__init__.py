"""The forms that a graph is exported in."""
