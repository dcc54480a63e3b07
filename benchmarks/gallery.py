"""How fast a gallery takes tracklets in and answers searches, and how many of the true neighbours it finds.

    python benchmarks/gallery.py --sizes 10000,100000 [--json out.json]
    python -m benchmarks.gallery --postgres --index pgvector

--postgres: in a database of a server of its own, whose shared_buffers hold the index, as they should (1 GB).

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


def measure(count: int, place: Path | str, seed: int, index: str) -> dict[str, object]:
    """Fill a gallery with ``count`` tracklets and search it; all figures."""
    rng = np.random.default_rng(seed)
    means, deviation = people(max(1, count // PER_PERSON), rng)
    vectors = seen(means[rng.integers(0, len(means), count)], deviation, rng)
    queries = seen(means[rng.integers(0, len(means), QUERIES)], deviation, rng)
    ids = [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(count)]
    figures: dict[str, object] = {"tracklets": count, "cosines": cosines(means, deviation, rng)}
    space = EmbeddingSpace("benchmark", "benchmark", SIZE)
    waits = []
    with Gallery.open(place, write=True, create=True, space=space, config=GalleryConfig(index=index)) as gallery:
        for n in range(SOURCES):
            gallery.begin_source(SourceStarted(f"camera{n}", "", f"camera{n}", (1920, 1080), 25.0, 0.0), "benchmark")
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
    with Gallery.open(place) as gallery:
        before = time.perf_counter()
        gallery.search(queries[:1], K)
        figures["first_search_seconds"] = time.perf_counter() - before
        answers: dict[str, object] = {}
        for name, where in filters.items():
            open_to = np.flatnonzero(allowed[name])
            # All exact answers first: between the searches they would fill the caches with the whole gallery's vectors.
            wanted = [open_to[np.argsort(-(vectors[open_to] @ query))[:K]] for query in queries]
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
    parser.add_argument("--index", default="chroma", help="as gallery.index")
    parser.add_argument("--json", type=Path, help="write all figures to this file as well")
    arguments = parser.parse_args()
    results = []
    for size in (int(word) for word in arguments.sizes.split(",")):
        with contextlib.ExitStack() as stack:
            place: Path | str
            if arguments.postgres:
                place = stack.enter_context(database())
            else:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="reidstream-bench-", dir=arguments.folder)
                )
                place = Path(folder) / "gallery"
            figures = measure(size, place, arguments.seed, arguments.index)
        results.append(figures)
        print(json.dumps(figures, indent=2), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
