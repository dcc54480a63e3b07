"""Running a graph of fixed batch with as many images as there are, instead of filling it up every time."""

from __future__ import annotations

import logging

import numpy as np

from reidstream.errors import ModelError
from reidstream.inference.session import Session

logger = logging.getLogger(__name__)

# Largest relative difference between both forms of the graph on the same images; float32 rounding is far below.
_TOLERANCE = 1e-3


def with_any_batch(session: Session, intra: int) -> Session:
    """The session itself when its batch is open or one; else one that takes any batch, if the graph allows.

    A graph for 16 images costs 16 images' time for a single crop. The graph is changed in memory only, and only taken
    when it gives the same for a full batch and for its first image alone; else the fixed one is used as before.
    """
    batch = session.batch
    if batch is None or batch == 1:
        return session
    try:
        opened = Session(session.path, intra=intra, graph=_opened(session))
        shape = [size or 1 for size in session.input.shape[1:]]
        images = np.random.default_rng(0).uniform(0, 255, (batch, *shape)).astype(np.float32)
        expected = session.run(images)
        scale = max(float(np.abs(expected).max()), 1e-6)
        worst = max(
            float(np.abs(opened.run(images) - expected).max()),
            float(np.abs(opened.run(images[:1]) - expected[:1]).max()),
        )
    except (ModelError, ValueError) as error:
        logger.info("%s keeps its batch of %d: %s", session.path, batch, error)
        return session
    if worst > _TOLERANCE * scale:
        logger.info("%s keeps its batch of %d: results would differ by %.2g", session.path, batch, worst)
        return session
    return opened


def _opened(session: Session) -> bytes:
    from onnx.external_data_helper import load_external_data_for_model

    from reidstream.models.graph.batch import open_batch
    from reidstream.models.graph.folding import constants_as_weights
    from reidstream.models.onnx_file import load_structure

    model = load_structure(session.path)
    load_external_data_for_model(model, str(session.path.parent))
    constants_as_weights(model)
    a, b, c = (size or 1 for size in session.input.shape[1:])
    open_batch(model, (a, b, c))
    graph: bytes = model.SerializeToString()
    return graph
