"""NumPy's ``.npy`` files: one array, several end to end, or an array of records.

``npz`` reads and writes its members with ``header``, ``body`` and ``stored`` of this package.
"""
