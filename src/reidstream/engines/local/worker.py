"""The process that runs the local engine for some of a run's sources; see ``processes`` for the other side.

What to run comes in on standard input, events go out on what was standard output, as ``multiprocessing`` pickles
them. In: the configuration, the sources, perhaps models of the caller's, and known digests of files, then "run", then
any number of ("skip", source id) and "stop"; the end of the input means stop, too. Out: ("ready", EmbeddingSpace), then
("events", list of events, Spent) as often as there are some, then ("end", None), or ("failed", the error) in the place
of either of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection

from reidstream.channel import Channel
from reidstream.children import serve_parent
from reidstream.engines import Engine
from reidstream.engines.local.apart.messages import send, sendable
from reidstream.engines.local.apart.tracking import TrackingEngine
from reidstream.engines.local.apart.turns import take_short_turns
from reidstream.engines.local.engine import LocalEngine
from reidstream.engines.local.spent import Spent
from reidstream.sources.remembered import remember
from reidstream.types import Event

# Events in one message, and those that may wait for one to be sent.
_AT_ONCE = 32
_WAITING = 64


def serve(requests: Connection, answers: Connection) -> None:
    """Run what is asked for until its end, or until the other side is gone."""
    try:
        config, sources, detector, embedder, digests, networks = requests.recv()
        remember(digests)
        engine: Engine
        if networks is None:
            engine = LocalEngine(config, sources, detector=detector, embedder=embedder)
        else:
            take_short_turns()
            engine = TrackingEngine(config, sources, Connection(networks))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - raised on the other side
        answers.send(("failed", sendable(error)))
        return
    answers.send(("ready", engine.space))
    try:
        requests.recv()
    except EOFError:
        return
    threading.Thread(target=_obey, args=(engine, requests), name="requests", daemon=True).start()
    out: Channel[Event] = Channel(_WAITING)
    sender = threading.Thread(target=_send, args=(engine, out, answers), name="events")
    sender.start()
    failure: Exception | None = None
    try:
        _fill(out, engine.events())
    except Exception as error:  # noqa: BLE001 - as above
        failure = error
    out.close()
    sender.join()
    answers.send(("end", None) if failure is None else ("failed", sendable(failure)))


def _fill(out: Channel[Event], events: Iterable[Event]) -> None:
    for event in events:
        if not out.put(event):
            return


def _send(engine: Engine, out: Channel[Event], answers: Connection) -> None:
    """Send whatever waits, together: a message costs more than an event."""
    events = iter(out)
    try:
        for event in events:
            batch = [event]
            while len(out) and len(batch) < _AT_ONCE:
                batch.append(next(events))
            send(answers, ("events", batch, Spent.of(engine.status)))
    except OSError:
        # The other side has died.
        out.abandon()


def _obey(engine: Engine, requests: Connection) -> None:
    while True:
        try:
            word = requests.recv()
        except (EOFError, OSError):
            word = "stop"
        if word == "stop":
            engine.stop()
            return
        engine.skip(word[1])


if __name__ == "__main__":
    serve_parent(serve)
