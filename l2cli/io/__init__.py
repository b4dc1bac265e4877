"""Sources and destinations, and which arrays of a source are meant.

What normalizes and checks, files and stores alike, finds its sources, arrays and destinations by
it. Nothing here computes, and nothing knows a format but by the registry.
"""
