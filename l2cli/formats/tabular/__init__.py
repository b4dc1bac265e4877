"""What Arrow and Parquet share: columns of vectors, their types and rows."""
