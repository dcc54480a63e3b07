"""How fast a gallery takes tracklets in and answers searches, and how many of the true neighbours it finds.

    python benchmarks/gallery.py --sizes 10000,100000 [--json out.json]
    python -m benchmarks.gallery --postgres --index pgvector
    python -m benchmarks.gallery --served --sizes 100000,1000000

--postgres: in a database of a server of its own, whose shared_buffers hold the index, as they should (1 GB).
--served: the same, and `reidstream index` beside it answers. Rows are copied in, without pictures and prototypes, so
that a million are there in minutes; how fast galleries take tracklets in is not measured then.

The vectors are made to lie like those of real people, because an index is judged by how close neighbours crowd. The
figures below were measured on 3,262 tracklets (up to five crops averaged) of the 751 people of Market-1501's training
part, embedded with OSNet x0.25 (MSMT17): length of the mean vector, and, along the principal axes, the variance of
people around it and of one person's tracklets around the person. Random axes with these variances give cosines of
the same and of different people that agree with the measured ones (both are printed):
same person 5/50/95 % .63/.82/.93, different people .38/.52/.70.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import text

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Filter, Gallery
from reidstream.types import EmbeddingSpace, EndReason, SourceStarted, Tracklet

SIZE = 512
MEAN_LENGTH = 0.727
AXES = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 511])
BETWEEN = np.array([38.5, 27.6, 13.9, 12.0, 8.88, 4.10, 1.76, 0.583, 0.0573, 0.00369, 1e-6]) / 1000
WITHIN = np.array([4.08, 5.25, 8.30, 4.45, 2.78, 3.06, 1.92, 1.08, 0.156, 0.0188, 1e-6]) / 1000
SPREAD = 0.45
"""How differently good tracklets are: standard deviation of the logarithm of their distance from the person."""

PER_PERSON = 8
TOGETHER = 50_000
SOURCES = 8
ADDED_TOGETHER = 64
QUERIES = 300
K = 10

Floats = npt.NDArray[np.float32]


def people(count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean vectors of ``count`` people, float32 (count, 512), and the deviations of tracklets along the axes (512,)."""
    place = np.log1p(np.arange(SIZE))
    between, within = (np.exp(np.interp(place, np.log1p(AXES), np.log(v))) for v in (BETWEEN, WITHIN))
    mean = rng.normal(size=SIZE)
    mean *= MEAN_LENGTH / np.linalg.norm(mean)
    means = mean + np.sqrt(between) * rng.normal(size=(count, SIZE))
    return means.astype(np.float32), np.sqrt(within).astype(np.float32)


def seen(means: Floats, deviation: Floats, rng: np.random.Generator) -> Floats:
    """One unit-length tracklet vector for each of the given people."""
    scale = np.exp(SPREAD * rng.normal(size=(len(means), 1)) - SPREAD**2 / 2).astype(np.float32)
    vectors = means + scale * deviation * rng.normal(size=means.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def tracklets(vectors: Floats, rng: np.random.Generator) -> Iterator[list[Tracklet]]:
    """Batches of whole tracklets, sizes of prototypes, path and crop as in the field; one every two seconds."""
    for start in range(0, len(vectors), ADDED_TOGETHER):
        batch = []
        for n in range(start, min(start + ADDED_TOGETHER, len(vectors))):
            source = f"camera{n % SOURCES}"
            prototypes = vectors[n] + 0.01 * rng.normal(size=(4, SIZE)).astype(np.float32)
            prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
            batch.append(
                Tracklet(
                    id=hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest(),
                    source=source,
                    content=source,
                    track_id=n,
                    part=0,
                    parts=1,
                    start_frame=50 * n,
                    end_frame=50 * n + 200,
                    start_media=2.0 * n,
                    end_media=2.0 * n + 8,
                    start_wall=2.0 * n,
                    end_wall=2.0 * n + 8,
                    reason=EndReason.LEFT,
                    observations=200,
                    confidence=0.7,
                    embedding=vectors[n],
                    prototypes=prototypes,
                    prototype_weights=np.full(4, 0.25, np.float32),
                    embeddings_used=8,
                    embeddings_seen=8,
                    purity=1.0,
                    quality=0.5,
                    frames=np.arange(100),
                    boxes=np.zeros((100, 4), np.float32),
                    crop=rng.bytes(4000),
                    crop_frame=0,
                    crop_box=(0.0, 0.0, 64.0, 128.0),
                )
            )
        yield batch


def cosines(means: Floats, deviation: Floats, rng: np.random.Generator) -> dict[str, list[float]]:
    """5, 50 and 95 % quantiles of the cosines between tracklets of the same and of different people."""
    some = means[rng.integers(0, len(means), 1000)]
    first, second = seen(some, deviation, rng), seen(some, deviation, rng)
    same = (first * second).sum(axis=1)
    different = (first @ second.T)[~np.eye(1000, dtype=bool)]
    marks = [0.05, 0.5, 0.95]
    return {"same": np.quantile(same, marks).tolist(), "different": np.quantile(different, marks).tolist()}


def measure(count: int, place: Path | str, seed: int, index: str, served: bool = False) -> dict[str, object]:
    """Fill a gallery with ``count`` tracklets and search it; all figures."""
    rng = np.random.default_rng(seed)
    means, deviation = people(max(1, count // PER_PERSON), rng)
    whose = rng.integers(0, len(means), count)
    vectors = np.empty((count, SIZE), np.float32)
    for begin in range(0, count, TOGETHER):
        vectors[begin : begin + TOGETHER] = seen(means[whose[begin : begin + TOGETHER]], deviation, rng)
    queries = seen(means[rng.integers(0, len(means), QUERIES)], deviation, rng)
    ids = [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(count)]
    figures: dict[str, object] = {"tracklets": count, "cosines": cosines(means, deviation, rng)}
    space = EmbeddingSpace("benchmark", "benchmark", SIZE)
    waits = []
    with Gallery.open(place, write=True, create=True, space=space, config=GalleryConfig(index=index)) as gallery:
        for n in range(SOURCES):
            gallery.begin_source(SourceStarted(f"camera{n}", "", f"camera{n}", (1920, 1080), 25.0, 0.0), "benchmark")
        if served:
            copy_rows(gallery, vectors, ids)
        else:
            started = time.perf_counter()
            for batch in tracklets(vectors, rng):
                before = time.perf_counter()
                gallery.add(batch)
                waits.append(time.perf_counter() - before)
            figures["add_ms_per_batch_p50_p95"] = quantiles(waits)
            figures["stored_per_second"] = count / sum(waits)
            gallery.flush()
            figures["indexed_per_second"] = count / (time.perf_counter() - started)
    figures["bytes_per_tracklet"] = bytes_of(place) / count
    filters = {
        "no filter": Filter(),
        "one of 8 cameras": Filter(sources=("camera3",)),
        "half of the time": Filter(since=float(count)),
        "1 % of the time": Filter(since=count * 1.0, until=count * 1.02),
        "one camera, 10 % of the time": Filter(sources=("camera5",), since=count * 1.0, until=count * 1.2),
    }
    number = np.arange(count)
    allowed = {
        "no filter": np.ones(count, bool),
        "one of 8 cameras": number % SOURCES == 3,
        "half of the time": 2.0 * number + 8 >= count,
        "1 % of the time": (2.0 * number + 8 >= count) & (2.0 * number <= count * 1.02),
        "one camera, 10 % of the time": (number % SOURCES == 5)
        & (2.0 * number + 8 >= count)
        & (2.0 * number <= count * 1.2),
    }
    with contextlib.ExitStack() as stack:
        if served:
            figures |= stack.enter_context(serving(str(place)))
        gallery = stack.enter_context(Gallery.open(place))
        before = time.perf_counter()
        gallery.search(queries[:1], K)
        figures["first_search_seconds"] = time.perf_counter() - before
        answers: dict[str, object] = {}
        for name, where in filters.items():
            open_to = np.flatnonzero(allowed[name])
            # All exact answers first: between the searches they would fill the caches with the whole gallery's vectors.
            left = vectors if len(open_to) == count else vectors[open_to]
            wanted = []
            for begin in range(0, len(queries), 20):
                products = queries[begin : begin + 20] @ left.T
                wanted += [open_to[np.argpartition(-some, K)[:K]] for some in products]
            del left
            times, hits = [], 0
            for query, nearest in zip(queries, wanted, strict=True):
                before = time.perf_counter()
                found = gallery.search(query, K, where)[0]
                times.append(time.perf_counter() - before)
                hits += len({ids[n] for n in nearest} & {match.tracklet for match in found})
            total = sum(map(len, wanted))
            answers[name] = {"ms_p50_p95": quantiles(times), "recall_at_10": hits / total}
        figures["search"] = answers
    return figures


def copy_rows(gallery: Gallery, vectors: Floats, ids: list[str]) -> None:
    """Put rows into a gallery on PostgreSQL as ``tracklets`` makes them, with nothing but what searches read."""
    columns = "seq revision id source content attempt track_id part parts start_frame end_frame start_media end_media"
    columns += " start_wall end_wall reason observations confidence embeddings_used embeddings_seen purity quality"
    with gallery.write() as connection:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            with cursor.copy(f"COPY tracklets ({', '.join(columns.split())}) FROM STDIN") as copy:
                for n, id in enumerate(ids):
                    source = f"camera{n % SOURCES}"
                    times = (2.0 * n, 2.0 * n + 8)
                    row = (n + 1, n + 1, id, source, source, 1, n, 0, 1, 50 * n, 50 * n + 200, *times, *times)
                    copy.write_row((*row, "left", 200, 0.7, 8, 8, 1.0, 0.5))
            with cursor.copy("COPY embeddings (seq, vector) FROM STDIN") as copy:
                for n, vector in enumerate(vectors):
                    copy.write_row((n + 1, vector.tobytes()))
        connection.execute(text("UPDATE meta SET value = :last WHERE key = 'revision'"), {"last": str(len(ids))})
        connection.execute(text("ANALYZE"))


@contextlib.contextmanager
def serving(address: str) -> Iterator[dict[str, object]]:
    """Figures of `reidstream index`, which answers until the end."""
    import psutil

    from tests.cluster.processes import Command, wait_until

    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        command = Command(Path(folder) / "log", "index", "--gallery", address)
        try:
            wait_until(lambda: "in memory" in command.said, "the vectors to be read", 1800)
            seconds = time.perf_counter() - before
            memory = psutil.Process(command.child.pid).memory_info().rss
            time.sleep(1)
            yield {"index_process_reads_seconds": round(seconds, 1), "index_process_mb": round(memory / 2**20)}
        finally:
            command.end()


def bytes_of(place: Path | str) -> int:
    """What a gallery takes on the disk."""
    if isinstance(place, Path):
        return sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
    with Gallery.open(place) as gallery, gallery.read() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The address of an empty database on a server of its own."""
    # Imported here: what runs without a server runs without the repository on the path, too.
    from tests.postgres import PostgresServer

    # A socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = PostgresServer(folder)
    try:
        server.psql("ALTER SYSTEM SET shared_buffers = '1GB'")
        server.restart()
        yield server.new_database()
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def quantiles(seconds: list[float]) -> list[float]:
    """Median and 95 % quantile in milliseconds."""
    return (1000 * np.quantile(seconds, [0.5, 0.95])).round(2).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description="Ingest and search of a gallery, with realistic vectors.")
    parser.add_argument("--sizes", default="10000,100000", help="numbers of tracklets, with commas (500000 takes long)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where galleries are made (default: the system's temporary folder)")
    parser.add_argument("--postgres", action="store_true", help="in a PostgreSQL database")
    parser.add_argument("--served", action="store_true", help="so, and asked by way of `reidstream index`")
    parser.add_argument("--index", default="chroma", help="as gallery.index")
    parser.add_argument("--json", type=Path, help="write all figures to this file as well")
    arguments = parser.parse_args()
    results = []
    for size in (int(word) for word in arguments.sizes.split(",")):
        with contextlib.ExitStack() as stack:
            place: Path | str
            if arguments.postgres or arguments.served:
                place = stack.enter_context(database())
            else:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="reidstream-bench-", dir=arguments.folder)
                )
                place = Path(folder) / "gallery"
            index = "exact" if arguments.served else arguments.index
            figures = measure(size, place, arguments.seed, index, arguments.served)
        results.append(figures)
        print(json.dumps(figures, indent=2), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
