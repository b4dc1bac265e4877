"""Are these unit rows, and how do their norms lie."""
