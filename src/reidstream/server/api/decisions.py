"""Decisions, the log of them, taking them back, deciding everybody anew."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from reidstream.documents import operations_document
from reidstream.identities.operations import touching, within
from reidstream.identities.people import count_of_operations, history
from reidstream.server.api.common import Limit, Operator, Reviewer, TheDesk, Viewer, answer, everything
from reidstream.server.api.review import note_answers
from reidstream.server.decisions import Decision
from reidstream.server.review_queue import ReviewQueue

router = APIRouter(prefix="/api/v1", tags=["decisions"])

_EXAMPLES: Any = {
    "merge": {
        "summary": "two people are one",
        "value": {
            "kind": "merge",
            "people": ["5d2b6f0a91c3", "b07e44d1a2f8"],
            "seen": {"3fa1": "5d2b6f0a91c3", "77c0": "b07e44d1a2f8"},
        },
    },
    "label": {"summary": "a name", "value": {"kind": "label", "person": "5d2b6f0a91c3", "name": "Grace"}},
    "undo": {"summary": "take it back", "value": {"kind": "undo", "operation": 7}},
}


@router.post("/decisions")
def decide(
    request: Request,
    desk: TheDesk,
    caller: Reviewer,
    decision: Annotated[Decision, Body(openapi_examples=_EXAMPLES)],
) -> Response:
    """Decide who is who. 409 with ``now`` when what was seen is no longer so: nothing has changed then."""
    done = desk.decide(caller, decision)
    review: ReviewQueue = request.app.state.review
    note_answers(desk, caller, [(question.one, question.other) for question in review.answered(decision)], "decided")
    return answer(done)


@router.get("/operations")
def operations(
    desk: TheDesk,
    caller: Viewer,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=2**53, description="Only those before this number.")] = None,
    person: Annotated[str | None, Query(max_length=64, description="Only those that touched this person.")] = None,
) -> Response:
    """What was decided by whom and when: the newest ones, oldest of them first."""
    where = []
    if person is not None:
        where.append(touching(person))
    if caller.cameras is not None:
        where.append(within(caller.cameras))
    newest = history(desk.gallery, before=before, newest=limit, where=where)
    total = count_of_operations(desk.gallery, before, where)
    following = newest[0].id if total > len(newest) else None
    return answer({**operations_document(newest, total), "next": following})


@router.post("/resolve", status_code=202)
def resolve(desk: TheDesk, caller: Operator) -> Response:
    """Decide everybody anew, as a job. What people decided holds."""
    return answer(desk.resolve(everything(caller)).as_dict(), 202)
