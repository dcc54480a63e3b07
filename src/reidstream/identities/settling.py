"""Deciding everybody anew at the end of a run, as long as nobody has looked at who is who."""

from __future__ import annotations

from sqlalchemy import func, select

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.operations import BY_ITSELF
from reidstream.identities.people import has_people, history
from reidstream.identities.proposal import Proposal, propose
from reidstream.identities.schema import outbox

# What a run does not decide anew at its end: it would take more than a minute.
_SETTLED = 20_000


def settle(gallery: Gallery, config: IdentityConfig) -> Proposal | None:
    """Decide everybody anew after a run, where nobody has looked at who is who yet: what was done, None for nothing.

    Nothing is done in a gallery that people have reviewed (they are shown what would change before it does), in one of
    more than 20,000 tracklets, and when nothing was stored since everybody was last decided anew. It is one
    transaction that depends on the stored tracklets only, so that a run that was killed and repeated ends as one that
    was not.
    """
    if len(gallery) > _SETTLED or not has_people(gallery) or _reviewed(gallery) or not _unsettled(gallery):
        return None
    proposal = propose(gallery, config)
    apply(gallery, proposal)
    return proposal


def _reviewed(gallery: Gallery) -> bool:
    """Whether anybody ever decided anything themselves, be it that deciding everybody anew was undone."""
    return any(operation.kind not in BY_ITSELF for operation in history(gallery))


def _unsettled(gallery: Gallery) -> bool:
    """Whether tracklets were given people one after the other since everybody was last decided at once."""
    last = select(func.max(outbox.c.seq)).where(outbox.c.kind == "IdentitiesResolved").scalar_subquery()
    query = (
        select(outbox.c.seq).where(outbox.c.kind == "TrackletStored", outbox.c.seq > func.coalesce(last, 0)).limit(1)
    )
    with gallery.read() as connection:
        return connection.execute(query).first() is not None
