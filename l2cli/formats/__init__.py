"""Every file format: one package each, and one row each in ``registry``.

The rest of the library opens files through :mod:`l2cli.formats.registry` and knows formats by the
classes of ``base`` and ``create`` only. Nothing here knows how rows are normalized.
"""
