"""What is known of rows before they are grouped, where a test says only some of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reidstream.identities.refining import Given


def given_rows(
    start: npt.NDArray[np.float64],
    excluded: npt.NDArray[np.bool_] | None = None,
    fixed: npt.NDArray[np.bool_] | None = None,
    end: npt.NDArray[np.float64] | None = None,
    said: npt.NDArray[np.bool_] | None = None,
) -> Given:
    n = len(start)
    nobody = np.zeros((n, n), bool)
    return Given(
        start,
        start if end is None else end,
        np.zeros(n, bool) if fixed is None else fixed,
        nobody if excluded is None else excluded,
        nobody if said is None else said,
    )
