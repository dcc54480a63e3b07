"""A training step that is the same every time, captured once on a GPU as a CUDA graph and replayed.

A small network's step is some ten thousand short kernels, and starting each of them from Python takes longer than it
runs. A captured step must not copy anything from or to the processor, nor depend on a number that Python computes anew:
what changes from step to step stands in tensors on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

# Steps before the capture: libraries choose their kernels, the optimiser makes its state.
_WARM = 3


def repeated(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step as something to call again and again; on a GPU it has been run ``_WARM`` times when this returns."""
    if device.type != "cuda":
        return step
    apart = torch.cuda.Stream(device)
    apart.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(apart):
        for _ in range(_WARM):
            step()
    torch.cuda.current_stream(device).wait_stream(apart)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Callable[[], None] = graph.replay
    return replay
