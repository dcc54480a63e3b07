"""The new nvstreammux's own configuration file."""

from __future__ import annotations

import math

from reidstream.engines.deepstream.files.gie_keys import Keys, ini_text

_USUAL_MOST = 120
"""overall-max-fps of NVIDIA's parser where nothing is said (MuxConfigParser.cpp, DeepStream 8.0)."""


def mux_text(timeout_us: int, batch: int) -> str:
    """Its file, in which an incomplete batch waits for ``timeout_us`` microseconds.

    The property batched-push-timeout does not say it: the new mux puts its policy together anew when the first source
    tells its format (configure_module in gstnvstreammux.cpp, 8.0 and 9.1), and without a file every batch in which a
    source is missing then waits for a fifth of a second, whatever the property holds. Its unit is the reciprocal:
    batches per second at least.
    """
    keys: Keys = {
        # One frame of each source that has not ended, taken in turn.
        "algorithm-type": 1,
        "adaptive-batching": 1,
        "batch-size": batch,
        "max-same-source-frames": 1,
        "max-fps-control": 0,
        "overall-min-fps-n": 1_000_000,
        "overall-min-fps-d": timeout_us,
        # Has to be the larger one.
        "overall-max-fps-n": max(_USUAL_MOST, math.ceil(2_000_000 / timeout_us)),
        "overall-max-fps-d": 1,
    }
    return ini_text({"property": keys})
