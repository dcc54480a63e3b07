"""The vector index in PostgreSQL itself, by the extension pgvector: one for all who read, and no memory of theirs.

Each generation of a gallery's index is one table in a schema of its own. Its rows hold whole vectors; the graph over
them holds half-precision copies, and the first it finds are put into their exact order by the whole ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from reidstream.errors import GalleryError
from reidstream.gallery.database import Database, Place
from reidstream.gallery.index.exact import Nearest, checked_shape
from reidstream.gallery.rows import in_chunks
from reidstream.types import FloatArray

EXTENSION = "vector"
NEIGHBOURS, BREADTH, EFFORT = 24, 128, 140
"""Links of each vector, candidates when one is put in, and candidates of a search. Chosen on the vectors of
benchmarks/gallery.py at 100,000; docs/scale.md has the figures."""
_MOST_EFFORT = 1000
"""pgvector's own limit; further candidates come by iterating."""
_SPARE = 10
"""Candidates beyond those asked for, whose order in half precision may be another."""
_UPSERT = 500
_LARGEST = 4000
"""Dimensions that pgvector indexes in half precision."""


class PgVectorIndex:
    """A VectorIndex in a table of a gallery's own database. Any number of processes may read it."""

    def __init__(
        self, place: Place, uuid: str, generation: int, size: int, *, make: bool = False, bulk: bool = False
    ) -> None:
        """``make``: make the table when it is not there; a reader does not. bulk: the graph is made by ``save``, once
        everything is in, which takes a fraction of the time.

        Raises GalleryError when the extension, the table or the right to make it is missing.
        """
        if size > _LARGEST:
            raise GalleryError(f"pgvector indexes up to {_LARGEST} dimensions, and these embeddings have {size}")
        self._size = size
        self._table = table_of(uuid, generation)
        self._database = Database(place, write=make)
        self._closed, self._make_allowed = False, make
        if make:
            try:
                with self._database.write() as connection:
                    self._make(connection, schema_of(uuid))
                    if not bulk:
                        self._make_graph(connection)
            except BaseException:
                self._database.close()
                raise

    def _make(self, connection: Connection, schema: str) -> None:
        demand_extension(connection, str(self._database.place))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {self._table} (id text PRIMARY KEY, vector vector({self._size}) NOT NULL)"
            )
        )
        # Beside the id, not in a table of large values, where each would be fetched by itself.
        connection.execute(text(f"ALTER TABLE {self._table} ALTER vector SET STORAGE PLAIN"))

    def _make_graph(self, connection: Connection) -> None:
        connection.execute(
            text(
                f"CREATE INDEX IF NOT EXISTS {self._table.rpartition('.')[2]}_near ON {self._table}"
                f" USING hnsw ((vector::halfvec({self._size})) halfvec_ip_ops)"
                f" WITH (m = {NEIGHBOURS}, ef_construction = {BREADTH})"
            )
        )

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        checked_shape(ids, vectors, self._size)
        last = {i: place for place, i in enumerate(ids)}
        names, places = list(last), list(last.values())
        put = text(
            f"INSERT INTO {self._table} (id, vector) VALUES (:id, CAST(:vector AS vector))"
            " ON CONFLICT (id) DO UPDATE SET vector = excluded.vector"
        )
        for start in range(0, len(names), _UPSERT):
            some = zip(names[start : start + _UPSERT], places[start : start + _UPSERT], strict=True)
            rows = [{"id": name, "vector": _written(vectors[place])} for name, place in some]
            with self._database.write() as connection:
                connection.execute(put, rows)

    def remove(self, ids: Sequence[str]) -> None:
        gone = text(f"DELETE FROM {self._table} WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
        for some in in_chunks(ids):
            with self._database.write() as connection:
                connection.execute(gone, {"ids": list(some)})

    def search(self, vectors: FloatArray, k: int) -> list[Nearest]:
        if k <= 0 or not len(vectors):
            return [Nearest([], np.zeros(0, np.float32)) for _ in vectors]
        wanted = k + _SPARE
        half = f"halfvec({self._size})"
        nearest = text(
            f"SELECT id, -(vector <#> CAST(:query AS vector)) FROM (SELECT id, vector FROM {self._table}"
            f" ORDER BY vector::{half} <#> CAST(:half AS {half}) LIMIT :wanted) AS found ORDER BY 2 DESC LIMIT :k"
        )
        answers = []
        with self._database.read() as connection:
            effort = min(max(EFFORT, wanted), _MOST_EFFORT)
            connection.execute(text(f"SET LOCAL hnsw.ef_search = {effort}"))
            # Rows that were deleted and not vacuumed yet are passed over, and more than the effort may be asked for.
            connection.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
            for vector in np.asarray(vectors, np.float32):
                query = _written(vector)
                # By two names: a parameter has one type, and the whole vector must not be rounded to the other's.
                given = {"query": query, "half": query, "wanted": wanted, "k": k}
                rows = connection.execute(nearest, given).all()
                answers.append(Nearest([row[0] for row in rows], np.array([row[1] for row in rows], np.float32)))
        return answers

    def ids(self) -> list[str]:
        with self._database.read() as connection:
            return list(connection.execute(text(f"SELECT id FROM {self._table} ORDER BY id")).scalars())

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        place = {i: n for n, i in enumerate(ids)}
        found = np.zeros((len(ids), self._size), np.float32)
        seen = 0
        held = text(f"SELECT id, vector::text FROM {self._table} WHERE id IN :ids")
        held = held.bindparams(bindparam("ids", expanding=True))
        for some in in_chunks(ids):
            with self._database.read() as connection:
                rows = connection.execute(held, {"ids": list(some)}).all()
            for id, written in rows:
                found[place[id]] = np.fromstring(written[1:-1], np.float32, sep=",")
            seen += len(rows)
        if seen != len(place):
            raise KeyError(f"{len(place) - seen} of {len(place)} ids are not in the index")
        return found

    def __len__(self) -> int:
        with self._database.read() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {self._table}")).scalar_one())

    def save(self) -> None:
        """Make the graph, unless it is there; what was committed is on the disk."""
        if self._make_allowed:
            with self._database.write() as connection:
                connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
                self._make_graph(connection)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._database.close()


def schema_of(uuid: str) -> str:
    """The schema that a gallery's index is in."""
    return f"reidstream_index_{uuid[:12]}"


def table_of(uuid: str, generation: int) -> str:
    """The table of one generation."""
    return f"{schema_of(uuid)}.vectors_{generation:06d}"


def demand_extension(connection: Connection, where: str) -> None:
    """Have pgvector in a database. Raises GalleryError when it is not installed there, or may not be added."""
    there = text("SELECT 1 FROM pg_extension WHERE extname = :name")
    if connection.execute(there, {"name": EXTENSION}).first() is not None:
        return
    offered = text("SELECT default_version FROM pg_available_extensions WHERE name = :name")
    if connection.execute(offered, {"name": EXTENSION}).scalar() is None:
        raise GalleryError(
            f'the server of {where} has no pgvector, which gallery.index = "pgvector" needs: install it there '
            '(package postgresql-18-pgvector), or make the gallery with gallery.index = "exact"'
        )
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        raise GalleryError(
            f"the user of {where} may not add pgvector ({str(error.orig).splitlines()[0]}): have an administrator run "
            "CREATE EXTENSION vector in that database"
        ) from None


def drop_tables(place: Place, uuid: str, keep: int) -> None:
    """Delete every generation of a gallery's index but one; their files are gone with the commit."""
    database = Database(place, write=True)
    try:
        with database.write() as connection:
            found = connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = :schema"), {"schema": schema_of(uuid)}
            ).scalars()
            for name in [f"{schema_of(uuid)}.{table}" for table in found]:
                if name != table_of(uuid, keep):
                    connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
    finally:
        database.close()


def _written(vector: FloatArray) -> str:
    return f"[{','.join(map(repr, vector.tolist()))}]"
