"""One source into one destination."""
