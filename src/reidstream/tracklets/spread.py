"""Samples that are kept of a track: good ones, spread over its life."""

from __future__ import annotations

import numpy as np

from reidstream.types import FloatArray, IntArray


def spread(times: FloatArray, quality: FloatArray, most: int) -> IntArray:
    """Indices of at most ``most`` samples that are good and spread over the track's life, in the order of time.

    times: seconds, float (n,), in any order. quality: float32 (n,) in 0..1.
    The life is cut into ``most`` equal spans; the best of each span is taken, then the best of what is left.
    """
    n = len(times)
    order = np.argsort(times, kind="stable")
    if n <= most:
        return order
    start, end = float(times[order[0]]), float(times[order[-1]])
    span = np.minimum(((times - start) / max(end - start, 1e-9) * most).astype(np.int64), most - 1)
    # Best first inside each span; np.unique then finds the first of each.
    ranked = np.lexsort((-quality, span))
    _, first = np.unique(span[ranked], return_index=True)
    chosen = ranked[first]
    left = np.setdiff1d(np.arange(n), chosen)
    extra = left[np.argsort(-quality[left], kind="stable")][: most - len(chosen)]
    kept = np.concatenate([chosen, extra])
    return kept[np.argsort(times[kept], kind="stable")]
