"""Drawing the norms of a check: as an HTML page, as a plot."""
