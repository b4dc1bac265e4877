"""Arrow IPC, as files and as streams: the record batches of a source with some columns replaced.

``reader`` and ``writer`` go by record batches; ``footer`` and ``messages`` check what pyarrow
would believe. Columns, types and windows are those of ``tabular``.
"""
