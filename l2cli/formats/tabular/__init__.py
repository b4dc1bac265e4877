"""What the formats that pyarrow reads have in common: columns of vectors, their types and rows.

``arrow`` and ``parquet`` build on it; it knows neither, and opens no files.
"""
