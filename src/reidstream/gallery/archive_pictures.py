"""The file of an archive that holds further pictures of tracklets, where a gallery keeps more than the best one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from reidstream.gallery.archive_checks import picture_groups
from reidstream.gallery.interchange import pictures_schema
from reidstream.types import Tracklet

# Pictures in a row group.
_AT_ONCE = 500


class PicturesWriter:
    """Writes them as tracklets come, in one order with these; there is no file where no tracklet has any."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes: BinaryIO | None = None
        self._file: Any = None

    @property
    def any(self) -> bool:
        return self._file is not None

    def add(self, tracklets: list[Tracklet]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [
            {"id": t.id, "number": number, "crop": jpeg}
            for t in tracklets
            for number, jpeg in enumerate(t.more_crops, start=1)
        ]
        if rows and self._file is None:
            # An open file: Arrow takes only paths that are UTF-8.
            self._bytes = self._path.open("wb")
            self._file = pq.ParquetWriter(self._bytes, pictures_schema())
        for start in range(0, len(rows), _AT_ONCE):
            table = pa.Table.from_pylist(rows[start : start + _AT_ONCE], schema=pictures_schema())
            self._file.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._bytes is not None:
            self._bytes.close()


class Pictures:
    """Further pictures, read beside the tracklets and in their order; ``path``: None where there are none."""

    def __init__(self, path: Path | None) -> None:
        self._left = _by_tracklet(path) if path is not None else iter(())
        self._next = next(self._left, None)

    def of(self, id: str) -> tuple[bytes, ...]:
        """The tracklet's, which is behind those that were asked for."""
        if self._next is None or self._next[0] != id:
            return ()
        found = self._next[1]
        self._next = next(self._left, None)
        return found


def _by_tracklet(path: Path) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    rows = (
        row
        for group in picture_groups(path)
        for row in zip(group.column("id").to_pylist(), group.column("crop").to_pylist(), strict=True)
    )
    for id, some in groupby(rows, key=lambda row: row[0]):
        yield id, tuple(crop for _, crop in some)
