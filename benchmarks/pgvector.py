"""Would pgvector do as the index of a gallery on PostgreSQL? The gate: p95 below 15 ms at 100,000 tracklets and below
40 ms at 1,000,000, recall@10 of .99, with and without filters.

    python -m benchmarks.pgvector [--sizes 100000] [--m 24] [--construction 128] [--searched 100,200,400]

Vectors are those of benchmarks.gallery, half-precision in an HNSW index, with the same filters. What is searched is the
nearest ten of 300 tracklets that are not in it; the truth is every vector compared, in single precision. "exactly":
the rows that the filter leaves are compared by SQL; with many rows that is what the index is there to spare.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.gallery import PER_PERSON, QUERIES, SIZE, SOURCES, Floats, K, people, seen
from tests.postgres import PostgresServer

_FILTERS = {
    "no filter": "true",
    "one of 8 cameras": "source = 3",
    "half of the time": "at < {n}",
    "a tenth of the time, one camera": "source = 3 AND at < {n} / 5",
    "1 % of the time": "at < {n} / 50",
}
"""A tracklet every two seconds, as in benchmarks.gallery."""


@contextmanager
def connected() -> Iterator[psycopg.Connection[Any]]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = PostgresServer(folder)
    try:
        with psycopg.connect(server.new_database(), autocommit=True) as connection:
            yield connection
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def measure(count: int, m: int, construction: int, searched: list[int], seed: int) -> None:
    """Print one line of figures for each filter and each width of searching."""
    rng = np.random.default_rng(seed)
    means, deviation = people(max(1, count // PER_PERSON), rng)
    vectors = seen(means[rng.integers(0, len(means), count)], deviation, rng)
    queries = seen(means[rng.integers(0, len(means), QUERIES)], deviation, rng)
    source, at = np.arange(count) % SOURCES, 2 * np.arange(count)
    with connected() as connection:
        run = connection.execute
        run("CREATE EXTENSION vector")
        run(f"CREATE TABLE v (seq bigint PRIMARY KEY, source int, at bigint, vector halfvec({SIZE}))")
        began = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY v FROM STDIN") as copy:
            for n in range(count):
                copy.write_row((n, int(source[n]), int(at[n]), f"[{','.join(f'{x:.6g}' for x in vectors[n])}]"))
        copied = time.perf_counter() - began
        run("CREATE INDEX ON v (source, at)")
        run("CREATE INDEX ON v (at)")
        run("SET maintenance_work_mem = '2GB'")
        began = time.perf_counter()
        run(f"CREATE INDEX ON v USING hnsw (vector halfvec_ip_ops) WITH (m = {m}, ef_construction = {construction})")
        built = time.perf_counter() - began
        run("ANALYZE v")
        size = run("SELECT pg_total_relation_size('v')").fetchone()
        facts = {"tracklets": count, "copied_per_second": round(count / copied), "built_s": round(built)}
        print(json.dumps({**facts, "bytes_per_tracklet": round(size[0] / count) if size else None}), flush=True)
        for name, clause in _FILTERS.items():
            where = clause.format(n=count)
            kept = _kept(clause, source, at, count)
            truth = _truth(vectors, queries, kept)
            for width in searched:
                run("SET hnsw.iterative_scan = strict_order")
                run(f"SET hnsw.ef_search = {width}")
                asked = f"SELECT seq FROM v WHERE {where} ORDER BY vector <#> %s::halfvec LIMIT {K}"
                _report(connection, asked, queries, truth, {"filter": name, "rows": len(kept), "ef": width})
            if len(kept) <= 25_000:
                asked = (
                    f"WITH some AS MATERIALIZED (SELECT seq, vector FROM v WHERE {where}) "
                    f"SELECT seq FROM some ORDER BY vector <#> %s::halfvec LIMIT {K}"
                )
                _report(connection, asked, queries, truth, {"filter": name, "rows": len(kept), "ef": "exactly"})


def _kept(clause: str, source: Any, at: Any, count: int) -> Any:
    known = {"true": np.ones(count, bool), "source = 3": source == 3, "at < {n}": at < count}
    known["source = 3 AND at < {n} / 5"] = (source == 3) & (at < count // 5)
    known["at < {n} / 50"] = at < count // 50
    return np.flatnonzero(known[clause])


def _truth(vectors: Floats, queries: Floats, kept: Any) -> list[set[int]]:
    some = vectors[kept]
    return [set(kept[np.argpartition(-(some @ query), K - 1)[:K]].tolist()) for query in queries]


def _report(
    connection: psycopg.Connection[Any], asked: str, queries: Floats, truth: list[set[int]], of: dict[str, Any]
) -> None:
    spans, hits = [], 0
    texts = [f"[{','.join(f'{x:.6g}' for x in query)}]" for query in queries]
    for query in texts[:20]:
        connection.execute(asked, (query,)).fetchall()
    for query, best in zip(texts, truth, strict=True):
        began = time.perf_counter()
        rows = connection.execute(asked, (query,)).fetchall()
        spans.append(1000 * (time.perf_counter() - began))
        hits += len({row[0] for row in rows} & best)
    p50, p95 = np.percentile(spans, [50, 95])
    recall = hits / (K * len(queries))
    print(json.dumps({**of, "p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "recall": round(recall, 4)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000")
    parser.add_argument("--m", type=int, default=24)
    parser.add_argument("--construction", type=int, default=128)
    parser.add_argument("--searched", default="100,200,400")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for size in asked.sizes.split(","):
        widths = [int(width) for width in asked.searched.split(",")]
        measure(int(size), asked.m, asked.construction, widths, asked.seed)


if __name__ == "__main__":
    main()
