"""Writing an engine's events to a Parquet file that a replay gives back exactly."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from reidstream.engines.event_table import SCHEMA, event_bytes, from_batch, to_batch
from reidstream.errors import EngineError, SourceBroken, SourceNotFound
from reidstream.files import new_file, whole_file
from reidstream.foreign_documents import parsed_json
from reidstream.types import EmbeddingSpace, Event

VERSION = 1
_METADATA = b"reidstream.recording"
_BATCH_EVENTS = 1024
_BATCH_BYTES = 8 * 2**20
_BATCH_SECONDS = 2.0
"""A batch is written when it has this many events or bytes, or is this old: what a crash loses at most."""


def partial_path(path: Path) -> Path:
    """Where a recording lies until it is complete."""
    return path.with_name(path.name + ".partial")


class Recorder:
    """Writes events as they come; a context manager.

    Until ``close`` they lie in ``<path>.partial``, an Arrow stream that stays readable whenever the process dies: a
    replay of it gives all but the last seconds. ``close`` turns it into the Parquet file, which appears complete or not
    at all and replaces an older one. Use from one thread. Raises EngineError when it cannot write.
    """

    def __init__(self, path: Path, space: EmbeddingSpace) -> None:
        self._path = Path(path)
        self._space = space
        self._waiting: list[Event] = []
        self._bytes = 0
        self._oldest = 0.0
        self._closed = False
        facts = json.dumps({"version": VERSION, "space": asdict(space)}).encode()
        self._schema = SCHEMA.with_metadata({_METADATA: facts})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new_file(partial_path(self._path))
            self._file = partial_path(self._path).open("wb")
            self._stream = pa.ipc.new_stream(self._file, self._schema)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def write(self, event: Event) -> None:
        """Add an event; it is on disk two seconds or a thousand events later at the latest, if more of them come."""
        if self._closed:
            raise EngineError(f"the recording {self._path} was closed; nothing more can be added to it")
        if not self._waiting:
            self._oldest = time.monotonic()
        self._waiting.append(event)
        self._bytes += event_bytes(event)
        if (
            len(self._waiting) >= _BATCH_EVENTS
            or self._bytes >= _BATCH_BYTES
            or time.monotonic() - self._oldest >= _BATCH_SECONDS
        ):
            self._flush()

    def close(self) -> None:
        """Write what is left and make the Parquet file. Nothing happens when called again."""
        if self._closed:
            return
        self._closed = True
        partial = partial_path(self._path)
        try:
            self._flush()
            self._stream.close()
            self._file.close()
            with (
                whole_file(self._path, EngineError) as unfinished,
                partial.open("rb") as source,
                unfinished.open("wb") as file,
                pq.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True) as writer,
            ):
                for batch in pa.ipc.open_stream(source):
                    writer.write_batch(batch, row_group_size=_BATCH_EVENTS)
            partial.unlink()
        except (OSError, pa.ArrowException) as error:
            raise self._failure(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        batch = to_batch(self._waiting).replace_schema_metadata(self._schema.metadata)
        self._waiting, self._bytes = [], 0
        try:
            self._stream.write_batch(batch)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> EngineError:
        reason = getattr(error, "strerror", None) or error
        return EngineError(f"the recording {self._path} cannot be written: {reason}")


class RecordedEvents:
    """A recording on disk, complete or what a crash left of it (``*.partial``).

    Raises SourceNotFound when there is none, SourceBroken when the file is no recording or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            left = partial_path(self.path)
            hint = f"; its run did not finish, {left} holds what was recorded until then" if left.is_file() else ""
            raise SourceNotFound(f"{self.path}: no such recording{hint}")
        try:
            self.space = self._checked_space(self._schema())
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            raise SourceBroken(
                f"{self.path}: not a complete recording; expected a Parquet file written by --record "
                f"({_first_line(error)})"
            ) from None

    @property
    def is_partial(self) -> bool:
        """Whether its run died before the recording was complete."""
        return self.path.suffix == ".partial"

    def events(self) -> Iterator[Event]:
        """Every event in the order it was recorded. Raises EngineError where the file is damaged."""
        count = 0
        try:
            for batch in self._batches():
                # Offsets and sizes come from the file: Arrow believes them unless it is asked to look.
                batch.validate(full=True)
                for event in from_batch(batch, self.space.size):
                    yield event
                    count += 1
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            if self.is_partial and isinstance(error, pa.ArrowInvalid | OSError):
                # The process died in the middle of a batch; those before it are whole.
                return
            raise EngineError(f"{self.path}: damaged after {count} events ({_first_line(error)})") from None

    def sources(self) -> list[str]:
        """The ids of its sources in the order in which they appear."""
        if self.is_partial:
            return list(dict.fromkeys(event.source for event in self.events()))
        with self.path.open("rb") as file:
            return list(dict.fromkeys(pq.read_table(file, columns=["source"]).column("source").to_pylist()))

    def _schema(self) -> Any:
        if self.is_partial:
            with self.path.open("rb") as source:
                return pa.ipc.open_stream(source).schema
        with self.path.open("rb") as source, pq.ParquetFile(source) as file:
            return file.schema_arrow

    def _batches(self) -> Iterator[Any]:
        if self.is_partial:
            with self.path.open("rb") as source:
                yield from pa.ipc.open_stream(source)
            return
        with self.path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=_BATCH_EVENTS)

    def _checked_space(self, schema: Any) -> EmbeddingSpace:
        facts = (schema.metadata or {}).get(_METADATA)
        if facts is None:
            raise SourceBroken(f"{self.path}: a Parquet file, but not a recording of events written by --record")
        try:
            found = parsed_json(facts)
            version, space = found["version"], EmbeddingSpace(**found["space"])
            if not isinstance(space.size, int) or not 0 < space.size <= 65_536:
                raise ValueError(f"vectors of {space.size!r} dimensions")
        except (ValueError, KeyError, TypeError) as error:
            raise SourceBroken(f"{self.path}: the recording does not say what it holds ({error})") from None
        if version != VERSION:
            raise SourceBroken(f"{self.path}: recording version {version}, this program reads version {VERSION}")
        if not schema.remove_metadata().equals(SCHEMA):
            missing = sorted(set(SCHEMA.names) - set(schema.names))
            what = f"lacks {', '.join(missing)}" if missing else "has columns of other types"
            raise SourceBroken(f"{self.path}: the recording {what}")
        return space


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
