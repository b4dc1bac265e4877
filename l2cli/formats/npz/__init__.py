"""NumPy's ``.npz`` archives: zip files whose members are ``.npy`` arrays."""
