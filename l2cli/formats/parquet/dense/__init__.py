"""The fast path of Parquet: dense rows, read and written without pyarrow.

Dense rows are rows of one length in which nothing is null. :func:`decode.dense_windows` reads
them and :func:`encode.encode_dense` writes them; each returns ``None`` where it declines, and
``dense=False`` of the reader switches both off. Results are the same either way.
"""
