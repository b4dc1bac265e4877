"""Reading ``.npz``: a zip of ``.npy`` members, stored or compressed, and of any other files.

Members are read front to back, because that is how they are compressed; one in Fortran order is
first unpacked into a temporary file. Headers and records are the matter of ``npy``.
"""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ArraySpec
from l2cli.errors import FormatError, L2NormError
from l2cli.filesystem.atomic import temporary_errors
from l2cli.formats.base import DEFAULT_OPENING, Reader
from l2cli.formats.npy.body import native, read_rows
from l2cli.formats.npy.header import MAGIC, NpyHeader, parse_header
from l2cli.formats.npy.stored import StoredArray
from l2cli.formats.npz.sparse import sparse_parts
from l2cli.formats.npz.writer import NpzWriter
from l2cli.formats.sparse import sparse_doubt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from l2cli.arrays import Batch
    from l2cli.options import OpenOptions

_SUFFIX = ".npy"
_CODECS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma"}
_MAX_FORMAT_BYTES = 64
"""Of the name of a sparse matrix's format, such as ``csr``."""


class NpzReader(Reader):
    """An ``.npz`` archive. An array's name is its member's, without ``.npy``."""

    def __init__(self, path: Path, opening: OpenOptions = DEFAULT_OPENING) -> None:
        super().__init__(path, opening)
        with self.damage():
            self.archive = zipfile.ZipFile(path)
        self.members = {
            info.filename.removesuffix(_SUFFIX): info
            for info in self.archive.infolist()
            if info.filename.endswith(_SUFFIX) or self._begins_like_npy(info)
        }
        if not self.members:
            names = ", ".join(self.archive.namelist()[:3]) or "nothing"
            raise FormatError(
                f"{path} is a zip archive without .npy members (it holds {names}); "
                "expected what numpy.savez writes"
            )
        self._arrays: list[ArraySpec] | None = None
        self._headers: dict[str, NpyHeader] = {}

    @contextlib.contextmanager
    def damage(self) -> Iterator[None]:
        """Turn what ``zipfile`` raises on damaged archives into ``FormatError``.

        That may be anything: it and the codecs under it believe what the archive says.
        """
        try:
            yield
        except (L2NormError, MemoryError):
            raise
        except Exception as exc:
            what = str(exc) or type(exc).__name__
            raise FormatError(f"{self.path} is a damaged zip archive: {what}") from exc

    def _begins_like_npy(self, info: zipfile.ZipInfo) -> bool:
        """Whether NumPy would load the member: it goes by the magic string alone."""
        if info.flag_bits & 1 or info.is_dir():
            return False
        with self.damage(), self.archive.open(info) as stream:
            return stream.read(len(MAGIC)) == MAGIC

    def arrays(self) -> list[ArraySpec]:
        """Return every array of every member."""
        if self._arrays is None:
            self._arrays = self._describe_all()
        return list(self._arrays)

    def _describe_all(self) -> list[ArraySpec]:
        repeated = Counter(self.archive.namelist())
        arrays = [
            array
            for name, info in self.members.items()
            for array in self._specs(name, repeated[info.filename])
        ]
        parts = sparse_parts({array.name: array for array in arrays}, self._text)
        times = Counter(array.name for array in arrays)
        return [
            replace(
                array,
                refusal=array.refusal if times[array.name] == 1 else "2 arrays have this name",
                doubt=sparse_doubt(parts[array.name]) if array.name in parts else "",
            )
            for array in arrays
        ]

    def stored(self, name: str) -> StoredArray:
        """Return one member as it is stored."""
        return StoredArray(self.header(name), name, layout=self._codec(name))

    def header(self, name: str) -> NpyHeader:
        """Return the header of one member."""
        if name not in self._headers:
            with self.damage(), self.archive.open(self.members[name]) as stream:
                self._headers[name] = self._parse(stream, name)
        return self._headers[name]

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        """Yield the rows of ``arrays``, member by member."""
        # In the archive's order: a zip is written from front to back.
        for name in self.members:
            if self.holds_any(name, [array.name for array in arrays]):
                yield from self._member_batches(name, arrays, batch_size)

    def holds_any(self, member: str, names: Collection[str]) -> bool:
        """Whether one of the arrays called ``names`` is in a member."""
        if member in names:
            return True
        is_near = any(name.startswith(f"{member}.") for name in names)
        return is_near and any(array.name in names for array in self.stored(member).specs)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> NpzWriter:
        """Open a writer with this archive as its template."""
        return NpzWriter(path, self, outputs)

    def dropped(self, taken: Collection[str]) -> list[str]:
        """Name what the file holds besides the arrays called ``taken``."""
        names = {info.filename: name for name, info in self.members.items()}
        left: list[str] = []
        for filename in self.archive.namelist():
            name = names.get(filename)
            if name is None or not self.holds_any(name, taken):
                left.append(filename)
            else:
                left += [array.name for array in self.stored(name).specs if array.name not in taken]
        return [f"'{name}'" for name in left]

    def close(self) -> None:
        """Close the file."""
        self.archive.close()

    def _codec(self, name: str) -> str:
        method = self.members[name].compress_type
        return _CODECS.get(method, f"method {method}")

    def _specs(self, name: str, times: int) -> list[ArraySpec]:
        info = self.members[name]
        refused = partial(ArraySpec, name, (), layout=self._codec(name), may_be_vectors=True)
        if info.flag_bits & 1:
            return [refused("encrypted", refusal="an encrypted member")]
        if times > 1:
            return [refused("unknown", refusal=f"{times} members have this name")]
        if self._read_bytes(info, 0, len(MAGIC)) != MAGIC:
            return [refused("unknown", refusal="not an npy array")]
        stored = self.stored(name)
        if stored.header.stored_dtype.hasobject:
            return stored.specs
        size = info.file_size - len(stored.header.raw)
        if size < stored.header.num_bytes:
            raise FormatError(
                f"{self.path}, member {info.filename}: its header promises "
                f"{stored.header.num_bytes:,} bytes of numbers, the member holds {size:,}"
            )
        extra = info.file_size - stored.num_bytes
        if extra and self._read_bytes(info, stored.num_bytes, len(MAGIC)) == MAGIC:
            what = "another array behind the first, which NumPy never reads; save each as a member"
            return [refused("several arrays", refusal=what)]
        return stored.specs

    def _text(self, name: str) -> str:
        """Return the text that a small member of one string holds."""
        header = self.header(name)
        if header.num_bytes > _MAX_FORMAT_BYTES:
            return ""
        content = self._read_bytes(self.members[name], len(header.raw), header.num_bytes)
        return content.replace(b"\0", b"").decode("latin1")

    def _read_bytes(self, info: zipfile.ZipInfo, start: int, size: int) -> bytes:
        with self.damage(), self.archive.open(info) as stream:
            stream.seek(start)
            return stream.read(size)

    def _parse(self, stream: IO[bytes], name: str) -> NpyHeader:
        label = f"{self.path}, member {self.members[name].filename}"
        return parse_header(stream, label, assume_bfloat16=self.opening.assume_bfloat16)

    def _member_batches(
        self, name: str, arrays: Sequence[ArraySpec], batch_size: int | None
    ) -> Iterator[Batch]:
        stored = self.stored(name)
        with contextlib.ExitStack() as stack:
            with self.damage():
                stream: Any = stack.enter_context(self.archive.open(self.members[name]))
            if stored.header.fortran_order:
                stream = stack.enter_context(self._in_temporary_file(stream))
            else:
                with self.damage():
                    stream.read(len(stored.header.raw))
            read = partial(self._read, stream, stored.header)
            yield from stored.batches(arrays, batch_size, read)
            with self.damage():
                # zipfile compares the checksum when it comes to the member's end.
                while stream.read(2**20):
                    pass

    def _read(self, stream: Any, header: NpyHeader, start: int, stop: int) -> np.ndarray[Any, Any]:
        if header.fortran_order:
            return read_rows(stream.fileno(), header, start, stop, str(self.path))
        shape = (stop - start, *header.shape[1:])
        numbers = bytearray(int(np.prod(shape, dtype=np.int64)) * header.stored_dtype.itemsize)
        with self.damage():
            count = stream.readinto(numbers)
        if count < len(numbers):
            raise FormatError(f"{self.path}: a member ends before row {stop - 1}")
        return native(np.frombuffer(numbers, header.stored_dtype).reshape(shape))

    @contextlib.contextmanager
    def _in_temporary_file(self, stream: IO[bytes]) -> Iterator[IO[bytes]]:
        """Yield what ``stream`` holds as a file that can be read anywhere."""
        with temporary_errors(), tempfile.TemporaryFile() as spool:
            while True:
                with self.damage():
                    block = stream.read(2**20)
                if not block:
                    break
                spool.write(block)
            spool.flush()
            yield spool
