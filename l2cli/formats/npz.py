"""``.npz``: a zip of ``.npy`` members, stored or compressed, and whatever else is in it."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from l2cli.arrays import ArraySpec, Batch, rows_per_batch, windows
from l2cli.errors import FormatError
from l2cli.formats.base import Reader, Writer
from l2cli.formats.npy_body import read_rows, write_rows
from l2cli.formats.npy_header import MAGIC, NpyHeader, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

_SUFFIX = ".npy"
_CODECS = {0: "stored", 8: "deflate", 12: "bzip2", 14: "lzma"}
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


class NpzReader(Reader):
    """An ``.npz`` archive. An array's name is its member's, without ``.npy``."""

    def __init__(self, path: Path, *, assume_bfloat16: bool = False) -> None:
        super().__init__(path)
        self._assume_bfloat16 = assume_bfloat16
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
        self._headers: dict[str, NpyHeader] = {}

    @contextlib.contextmanager
    def damage(self) -> Iterator[None]:
        """Turn what ``zipfile`` raises on damaged archives into ``FormatError``."""
        try:
            yield
        except _DAMAGE as exc:
            raise FormatError(f"{self.path} is a damaged zip archive: {exc}") from exc

    def _begins_like_npy(self, info: zipfile.ZipInfo) -> bool:
        """Whether NumPy would load the member: it goes by the magic string alone."""
        if info.flag_bits & 1 or info.is_dir():
            return False
        with self.damage(), self.archive.open(info) as stream:
            return stream.read(len(MAGIC)) == MAGIC

    def arrays(self) -> list[ArraySpec]:
        repeated = Counter(self.archive.namelist())
        return [self._spec(name, repeated[info.filename]) for name, info in self.members.items()]

    def header(self, name: str) -> NpyHeader:
        """Return the header of one member."""
        if name not in self._headers:
            with self.damage(), self.archive.open(self.members[name]) as stream:
                self._headers[name] = self._parse(stream, name)
        return self._headers[name]

    def batches(self, arrays: Sequence[ArraySpec], batch_size: int | None) -> Iterator[Batch]:
        # In the archive's order: a zip is written from front to back.
        for name in self.members:
            for array in arrays:
                if array.name == name:
                    yield from self._member_batches(array, batch_size)

    def writer(self, path: Path, outputs: Mapping[str, ArraySpec]) -> NpzWriter:
        return NpzWriter(path, self, outputs)

    def leftovers(self, taken: Collection[str]) -> list[str]:
        members = {f"{name}{_SUFFIX}" for name in taken}
        return [f"'{name}'" for name in self.archive.namelist() if name not in members]

    def close(self) -> None:
        self.archive.close()

    def _spec(self, name: str, times: int) -> ArraySpec:
        info = self.members[name]
        codec = _CODECS.get(info.compress_type, f"method {info.compress_type}")
        if info.flag_bits & 1:
            return ArraySpec(name, (), "encrypted", codec, "an encrypted member")
        if times > 1:
            return ArraySpec(name, (), "unknown", codec, f"{times} members have this name")
        with self.damage(), self.archive.open(info) as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return ArraySpec(name, (), "unknown", codec, "not an npy array")
        header = self.header(name)
        held = info.file_size - len(header.raw)
        if not header.stored_dtype.hasobject and held < header.num_bytes:
            raise FormatError(
                f"{self.path}, member {info.filename}: its header promises "
                f"{header.num_bytes:,} bytes of numbers, the member holds {held:,}"
            )
        return header.spec(name, codec)

    def _parse(self, stream: IO[bytes], name: str) -> NpyHeader:
        label = f"{self.path}, member {self.members[name].filename}"
        return parse_header(stream, label, assume_bfloat16=self._assume_bfloat16)

    def _member_batches(self, array: ArraySpec, batch_size: int | None) -> Iterator[Batch]:
        header = self.header(array.name)
        batch_rows = rows_per_batch(array, batch_size)
        with contextlib.ExitStack() as stack:
            with self.damage():
                stream: Any = stack.enter_context(self.archive.open(self.members[array.name]))
                if header.fortran_order:
                    stream = stack.enter_context(_spooled(stream))
                else:
                    stream.read(len(header.raw))
            for start, stop in windows(array.num_rows, batch_rows):
                with self.damage():
                    rows = self._read(stream, header, start, stop)
                yield Batch(array, rows, start)
            with self.damage():
                # zipfile compares the checksum when it comes to the member's end.
                while stream.read(2**20):
                    pass

    def _read(self, stream: Any, header: NpyHeader, start: int, stop: int) -> np.ndarray[Any, Any]:
        if header.fortran_order:
            return read_rows(stream.fileno(), header, start, stop, str(self.path))
        shape = (stop - start, *header.shape[1:])
        found = bytearray(int(np.prod(shape, dtype=np.int64)) * header.stored_dtype.itemsize)
        if stream.readinto(found) < len(found):
            raise FormatError(f"{self.path}: a member ends before row {stop - 1}")
        rows = np.frombuffer(found, header.stored_dtype).reshape(shape)
        return rows.astype(rows.dtype.newbyteorder("="), copy=False)


class NpzWriter(Writer):
    """An ``.npz`` archive like another: the same members in the same order."""

    def __init__(self, path: Path, source: NpzReader, outputs: Mapping[str, ArraySpec]) -> None:
        self._source = source
        self._folder = path.parent
        self._headers = {name: source.header(name).like(spec) for name, spec in outputs.items()}
        self._remaining = iter(source.archive.infolist())
        self._member: _MemberWriter | None = None
        self._file = path.open("w+b")
        self._archive = zipfile.ZipFile(self._file, "w")
        self._archive.comment = source.archive.comment

    def write(self, batch: Batch) -> None:
        while self._member is None or self._member.name != batch.array.name:
            self._next_member()
        self._member.write(batch.start, batch.rows)

    def finish(self) -> None:
        with contextlib.suppress(StopIteration):
            while True:
                self._next_member()
        self._archive.close()
        self.close()

    def close(self) -> None:
        if self._member is not None:
            self._member.abandon()
            self._member = None
        # What isn't finished is thrown away: zipfile must not complete it when it is collected.
        self._archive.fp = None
        self._file.close()

    def _next_member(self) -> None:
        """End the member at hand, copy the next, or begin it where it is to be written."""
        if self._member is not None:
            self._member.finish()
            self._member = None
        info = next(self._remaining)
        name = info.filename.removesuffix(_SUFFIX)
        if name in self._headers and info is self._source.members[name]:
            self._member = self._begin(name, info)
        else:
            self._copy(info)

    def _begin(self, name: str, info: zipfile.ZipInfo) -> _MemberWriter:
        before, header = self._source.header(name), self._headers[name]
        extra = info.file_size - len(before.raw) - before.num_bytes
        target = self._open(info, len(header.raw) + header.num_bytes + extra)
        tail = (info, len(before.raw) + before.num_bytes) if extra else None
        return _MemberWriter(name, header, target, self._folder, lambda: self._tail(tail))

    def _tail(self, tail: tuple[zipfile.ZipInfo, int] | None) -> bytes:
        """Return what follows the numbers in the source's member, nearly always nothing."""
        if tail is None:
            return b""
        with self._source.damage(), self._source.archive.open(tail[0]) as stream:
            stream.seek(tail[1])
            return stream.read()

    def _copy(self, info: zipfile.ZipInfo) -> None:
        with contextlib.ExitStack() as stack:
            with self._source.damage():
                before = stack.enter_context(self._source.archive.open(info))
            after = stack.enter_context(self._open(info, info.file_size))
            while True:
                # What goes wrong while it is written is no damage of the source.
                with self._source.damage():
                    block = before.read(2**20)
                if not block:
                    break
                after.write(block)

    def _open(self, like: zipfile.ZipInfo, size: int) -> IO[bytes]:
        info = zipfile.ZipInfo(like.filename, like.date_time)
        info.compress_type = like.compress_type
        info.comment = like.comment
        info.create_system = like.create_system
        info.internal_attr = like.internal_attr
        info.external_attr = like.external_attr
        info.extra = _without_sizes(like.extra)
        info.file_size = size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Two members of one name were two in the source.
            return self._archive.open(info, "w")


class _MemberWriter:
    """One array on its way into the archive: straight, or by a file where it is in runs."""

    def __init__(
        self,
        name: str,
        header: NpyHeader,
        target: IO[bytes],
        folder: Path,
        tail: Callable[[], bytes],
    ) -> None:
        self.name = name
        self._header = header
        self._target = target
        self._tail = tail
        self._spool: IO[bytes] | None = None
        if header.fortran_order:
            self._spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by finish
            self._spool.write(header.raw)
            self._spool.flush()
        else:
            target.write(header.raw)

    def write(self, start: int, rows: np.ndarray[Any, Any]) -> None:
        if self._spool is not None:
            write_rows(self._spool.fileno(), self._header, start, rows)
            return
        stored = np.ascontiguousarray(rows.astype(self._header.stored_dtype, copy=False))
        self._target.write(stored.reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        if self._spool is not None:
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, self._target, 2**20)
            self._spool.close()
        self._target.write(self._tail())
        self._target.close()

    def abandon(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _without_sizes(extra: bytes) -> bytes:
    """Return a member's extra fields but the ZIP64 one, which zipfile writes itself."""
    kept, rest = b"", extra
    while len(rest) >= 4:
        size = 4 + int.from_bytes(rest[2:4], "little")
        if rest[:2] != b"\x01\x00":
            kept += rest[:size]
        rest = rest[size:]
    return kept


@contextlib.contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield what ``stream`` holds as a file that can be read anywhere."""
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool, 2**20)
        spool.flush()
        yield spool
