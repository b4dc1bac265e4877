"""The process that we run in."""
