"""Decisions, the log of them, taking them back, deciding everybody anew."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from reidstream.documents import operations_document
from reidstream.identities.people import count_of_operations, history
from reidstream.server.access.roles import Caller
from reidstream.server.api.common import Limit, Operator, Reviewer, TheDesk, Viewer, answer, everything
from reidstream.server.decisions import Decision
from reidstream.server.desk import Desk
from reidstream.server.review_queue import ReviewQueue

router = APIRouter(tags=["decisions"])

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
    review.answered(decision)
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
    if person is None and caller.cameras is None:
        newest = history(desk.gallery, before=before, newest=limit)
        total = count_of_operations(desk.gallery, before)
        following = newest[0].id if total > len(newest) else None
        return answer({**operations_document(newest, total), "next": following})
    found = history(desk.gallery, before=before)
    if person is not None:
        touching = desk.operations_of(person)
        found = [operation for operation in found if operation.id in touching]
    if caller.cameras is not None:
        found = [operation for operation in found if sees(desk, caller, operation.id)]
    document = operations_document(found[-limit:], len(found))
    return answer({**document, "next": found[-limit].id if len(found) > limit else None})


@router.post("/resolve", status_code=202)
def resolve(desk: TheDesk, caller: Operator) -> Response:
    """Decide everybody anew, as a job. What people decided holds."""
    return answer(desk.resolve(everything(caller)).as_dict(), 202)


def sees(desk: Desk, caller: Caller, operation: int) -> bool:
    """Whether everything that an operation touched is of cameras that the caller may see."""
    assert caller.cameras is not None
    touched = desk.touched(operation)
    return bool(touched) and caller.cameras.issuperset(desk.gallery.rows(ids=touched).source.tolist())
