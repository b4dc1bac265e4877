"""Pictures of norms: a page, a plot."""
