"""A folder of shards into another: plan, decide, run, note, resume.

:func:`~l2cli.store.run.normalize_store` is the way in. Everything here deals with whole files; how
one file is normalized lies in :mod:`l2cli.normalization`.
"""
