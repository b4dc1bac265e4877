"""The fast paths of HDF5: rows read and written without HDF5, or its filters, or its lock.

:func:`open.open_direct_reader` and :func:`open.direct_storage` return ``None`` where they
decline, and ``direct=False`` of the reader switches all of it off. Results are the same either
way, except for how well chunks are compressed.
"""
