"""NumPy's .npz archives."""
