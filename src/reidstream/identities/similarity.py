"""How alike tracklets are: candidates by their means, then the best pair of prototypes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.identities.calibration import Calibration, clarity_of, strangers_among
from reidstream.identities.evidence import Evidence
from reidstream.identities.strangers import Strangers
from reidstream.types import FloatArray, IntArray

_BLOCK = 1024
# Similarities held at once: 128 MB.
_CELLS = 2**25
# Galleries with more tracklets are searched by shortcuts that cost no candidate worth having.
_MANY = 8192
_SAMPLED = 8
_AXES = 128
# What prototypes add to the likeness of means is learnt from so many pairs.
_CLOSELY = 20_000

Floats = npt.NDArray[np.float64]


def candidates(vectors: FloatArray, most: int) -> tuple[IntArray, IntArray]:
    """Pairs (i < j) of rows in which one is among the ``most`` nearest of the other, by cosine.

    vectors: float32 (n, d), unit length. All pairs when there are no more than ``most`` others. In large galleries the
    nearest are looked for along the strongest axes only. Memory stays at one block of similarities.
    """
    n = len(vectors)
    if n - 1 <= most:
        i, j = np.triu_indices(n, 1)
        return i.astype(np.int64), j.astype(np.int64)
    if n > _MANY:
        vectors = _strongest_axes(vectors)
    keys = []
    step = max(16, _CELLS // n)
    for begin in range(0, n, step):
        block = vectors[begin : begin + step] @ vectors.T
        rows = np.arange(begin, begin + len(block))
        block[np.arange(len(block)), rows] = -2.0
        row, near = _nearest(block, most)
        row = rows[row]
        keys.append(np.minimum(row, near) * n + np.maximum(row, near))
    unique = np.unique(np.concatenate(keys))
    return unique // n, unique % n


def _nearest(block: FloatArray, most: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the ``most`` greatest values of every row of a float32 (r, n) block."""
    rows, n = block.shape
    if n <= _MANY:
        near = np.argpartition(block, -most, axis=1)[:, -most:]
        return np.repeat(np.arange(rows), most), near.ravel()
    # Every eighth value tells about how great the greatest are; only what is as great has to be put in order.
    rank = 2 * most // _SAMPLED + 2
    least = np.partition(block[:, ::_SAMPLED], -rank, axis=1)[:, -rank]
    above = block >= least[:, None]
    for short in np.flatnonzero(np.count_nonzero(above, axis=1) < most).tolist():
        above[short] = block[short] >= np.partition(block[short], -most)[-most]
    row, column = np.nonzero(above)
    order = np.lexsort((-block[row, column], row))
    begin = np.searchsorted(row, np.arange(rows))
    kept = order[np.arange(len(order)) - begin[row] < most]
    return row[kept], column[kept]


def _strongest_axes(vectors: FloatArray) -> FloatArray:
    """float32 (n, 128): the vectors along the axes that carry most of their products (an uncentred PCA of a sample).

    OSNet's 512 numbers hold far fewer directions; of tracklets of real people less than 1 % of the variance is lost.
    """
    if vectors.shape[1] <= _AXES:
        return vectors
    sample = vectors[:: max(1, len(vectors) // _MANY)]
    _, axes = np.linalg.eigh(sample.T @ sample)
    strongest: FloatArray = vectors @ axes[:, -_AXES:]
    return strongest


def pair_similarity(evidence: Evidence, i: IntArray, j: IntArray) -> FloatArray:
    """float32 (m,): the cosine of the most similar prototypes of tracklets i[k] and j[k].

    The best pair of prototypes, not the means: two cameras see a person from two sides, and the prototypes that
    agree are those that were seen from the same side by both.
    """
    first, prototypes = evidence.first, evidence.prototypes
    if _most_of_all(len(evidence), i) and len(prototypes) ** 2 <= _CELLS:
        begins = first[:-1]
        best = np.maximum.reduceat(prototypes @ prototypes.T, begins, axis=0)
        every: FloatArray = np.maximum.reduceat(best, begins, axis=1)[i, j]
        return every
    counts = np.diff(first)
    most = int(counts.max(initial=1))
    # Ragged to rectangular: a tracklet with fewer prototypes repeats its heaviest.
    slots = np.arange(most)[None, :]
    table = first[:-1, None] + np.where(slots < counts[:, None], slots, 0)
    found = np.empty(len(i), np.float32)
    for begin in range(0, len(i), 4 * _BLOCK):
        rows = slice(begin, begin + 4 * _BLOCK)
        a, b = prototypes[table[i[rows]]], prototypes[table[j[rows]]]
        found[rows] = np.matmul(a, b.transpose(0, 2, 1)).reshape(len(a), -1).max(axis=1)
    return found


def _most_of_all(n: int, pairs: IntArray) -> bool:
    """Whether so many pairs of n rows are asked for that all of them, in one product, take less time."""
    return 4 * len(pairs) >= n * (n - 1)


def likeness(evidence: Evidence, i: IntArray, j: IntArray) -> FloatArray:
    """float32 (m,): how alike tracklets i[k] and j[k] are: half by their most similar prototypes, half by their means.

    The one knows that people look different from two sides, the other is hardly moved by a single odd crop.
    """
    found = pair_similarity(evidence, i, j)
    if _most_of_all(len(evidence), i) and len(evidence) ** 2 <= _CELLS:
        found += (evidence.vectors @ evidence.vectors.T)[i, j]
        found /= 2
        return found
    for begin in range(0, len(i), _CELLS // 2048):
        some = slice(begin, begin + _CELLS // 2048)
        means = np.einsum("nd,nd->n", evidence.vectors[i[some]], evidence.vectors[j[some]])
        found[some] = (found[some] + means) / 2
    return found


def sampled_strangers(evidence: Evidence, columns: IntArray, sample: Strangers, calibration: Calibration) -> Strangers:
    """The strangers of a large gallery, from a sample of it and the means alone, moved to agree with the sample's.

    columns: int64 (c,), the rows of the sample. sample: the strangers of these, as all their pairs say;
    calibration: how they are read.
    """
    clarity = float(np.median(clarity_of(evidence.strength[columns]))) ** 2
    i, j = np.triu_indices(len(columns), 1)
    i, j = columns[i], columns[j]
    if len(i) > _CLOSELY:
        some = np.linspace(0, len(i) - 1, _CLOSELY).astype(np.int64)
        i, j = i[some], j[some]
    means = np.einsum("nd,nd->n", evidence.vectors[i], evidence.vectors[j])
    # By prototypes two tracklets are more alike than by their means.
    more = float(np.mean(likeness(evidence, i, j) - means)) if len(i) else 0.0
    parts = []
    for begin in range(0, len(evidence), _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, len(evidence)))
        block = (evidence.vectors[rows] @ evidence.vectors[columns].T).astype(np.float64) + more
        parts.append(strangers_among(block, sample, calibration, clarity, rows[:, None] == columns))
    mean, spread = np.concatenate([p.mean for p in parts]), np.concatenate([p.spread for p in parts])
    return Strangers(
        mean + float((sample.mean - mean[columns]).mean()),
        spread * float(sample.spread.mean() / spread[columns].mean()),
        # Hardly anybody of whom these are asked was in the sample at all, so none was left out for how they look.
        np.full(len(evidence), np.inf),
    )
