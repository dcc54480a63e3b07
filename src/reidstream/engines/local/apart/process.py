"""The process that reads sources and runs the models for those that track; see ``processes`` for who starts it.

In: the configuration, for each tracking process the descriptor of a socket to it and its sources, perhaps models of the
caller's, and known digests of files. Out: ("ready", EmbeddingSpace), or ("failed", the error). The end of the input
means nothing: it ends with those that it works for.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

from reidstream.children import serve_parent
from reidstream.engines import EngineStatus
from reidstream.engines.local.apart.messages import sendable
from reidstream.engines.local.apart.networks import serve
from reidstream.engines.local.apart.turns import take_short_turns
from reidstream.engines.local.models import open_models
from reidstream.sources.remembered import remember


def run(requests: Connection, answers: Connection) -> None:
    try:
        config, shares, detector, embedder, digests = requests.recv()
        links = [(Connection(descriptor), sources) for descriptor, sources in shares]
        remember(digests)
        status = EngineStatus()
        take_short_turns()
        given = [source for _, sources in shares for _, source in sources]
        models = open_models(config, given, status, detector, embedder)
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - raised on the other side
        answers.send(("failed", sendable(error)))
        return
    answers.send(("ready", models.embedder.space))
    serve(config, models, links, status)


if __name__ == "__main__":
    serve_parent(run)
