"""What others do to the same file, as lines of shell."""

from __future__ import annotations

import shlex
import sys


def _python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code.strip())} {{source}} {{target}}"


COPY = "cp {source} {target}"

COPY_FOLDER = "cp -r {source} {target}"

READ = "cat {source} > /dev/null"

PIPE = "cat {source} | cat > {target}"

IMPORT_NUMPY = f"{shlex.quote(sys.executable)} -c 'import numpy'"

IMPORT_SKLEARN = f"{shlex.quote(sys.executable)} -c 'import sklearn.preprocessing'"

IMPORT_KERAS = f"KERAS_BACKEND=jax {shlex.quote(sys.executable)} -c 'import keras'"

NUMPY = _python("""
import sys
import numpy as np
rows = np.load(sys.argv[1])
rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
np.save(sys.argv[2], rows)
""")

SKLEARN = _python("""
import sys
import numpy as np
from sklearn.preprocessing import normalize
rows = normalize(np.load(sys.argv[1]))
np.save(sys.argv[2], rows)
""")

FAISS = _python("""
import sys
import faiss, numpy as np
rows = np.load(sys.argv[1])
faiss.normalize_L2(rows)
np.save(sys.argv[2], rows)
""")

H5REPACK = "h5repack {source} {target}"

H5REPACK_AGAIN = "h5repack -l embeddings:CHUNK=10x768 {source} {target}"
"""Another chunk shape, so that every chunk is decompressed and compressed again."""

PYARROW = _python("""
import sys
import pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
with pq.ParquetWriter(sys.argv[2], file.schema_arrow, use_dictionary=False) as writer:
    for number in range(file.num_row_groups):
        writer.write_table(file.read_row_group(number))
""")

POLARS = _python("""
import sys
import polars as pl
pl.scan_parquet(sys.argv[1]).sink_parquet(sys.argv[2], compression="snappy")
""")

DUCKDB = _python("""
import sys
import duckdb
duckdb.sql("COPY '%s' TO '%s' (FORMAT parquet)" % tuple(sys.argv[1:]))
""")
