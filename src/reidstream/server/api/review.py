"""The queue of questions, and what a user said to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, insert, select

from reidstream.errors import PersonNotFound, TrackletNotFound
from reidstream.identities.presence import demand_there
from reidstream.server.access.roles import Caller
from reidstream.server.access.schema import answers, places
from reidstream.server.api.common import Reviewer, TheDesk, answer
from reidstream.server.api.people import hidden_people
from reidstream.server.desk import Desk
from reidstream.server.open_questions import Question
from reidstream.server.review_queue import ReviewQueue

router = APIRouter(prefix="/api/v1", tags=["review"])


class Answer(BaseModel):
    """What somebody said to a question without deciding it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"one": "5d2b6f0a91c3", "other": "b07e44d1a2f8", "answer": "skip"}]},
    )
    one: str = Field(min_length=1, max_length=64)
    other: str = Field(min_length=1, max_length=64)
    answer: Literal["skip", "later"] = Field(description="skip: never ask me again; later: after all others.")


class Place(BaseModel):
    """The question that a user looks at."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"one": "5d2b6f0a91c3", "other": "b07e44d1a2f8"}]}
    )
    one: str = Field(min_length=1, max_length=64)
    other: str = Field(min_length=1, max_length=64)


@router.get("/review")
def queue(
    request: Request,
    desk: TheDesk,
    caller: Reviewer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """What most needs an eye, the weightiest first; what the caller skipped is left out, what is for later comes last.

    The question at which the caller was the last time (see ``/review/place``) comes before all others.
    ``left``: how many questions there are; ``reviewed``: how many this user has answered or skipped, ``later``: put
    off.
    ``finding``: whether the first ones are still being looked for, which takes
    a moment in a gallery of many people.
    """
    review: ReviewQueue = request.app.state.review
    with desk.gallery.read() as connection:
        own = connection.execute(select(answers).where(answers.c.user == caller.name)).all()
        place = connection.execute(select(places).where(places.c.user == caller.name)).one_or_none()
    said: dict[str, list[tuple[str, str]]] = {"decided": [], "skip": [], "later": []}
    for row in own:
        said[row.answer].append((row.one, row.other))
    asked = review.asked(
        limit,
        caller.cameras,
        but=said["skip"],
        later=said["later"],
        hidden=hidden_people(desk),
        first=None if place is None else (place.one, place.other),
    )
    shown = [described for question in asked.questions if (described := _described(desk, question)) is not None]
    progress = {"reviewed": len(said["decided"]) + len(said["skip"]), "later": asked.later}
    return answer({"questions": shown, "left": asked.left, **progress, "finding": review.finding})


@router.put("/review/place")
def keep_place(sent: Place, desk: TheDesk, caller: Reviewer) -> Response:
    """Keep at which question this user is, for when they come back, to any browser."""
    with desk.gallery.write() as connection:
        demand_there(connection, sent.one, sent.other)
        connection.execute(delete(places).where(places.c.user == caller.name))
        connection.execute(insert(places).values(user=caller.name, one=sent.one, other=sent.other))
    return answer({"one": sent.one, "other": sent.other})


@router.post("/review/answers")
def say(sent: Answer, desk: TheDesk, caller: Reviewer) -> Response:
    """Skip a question, or have it asked after all others; for this user only."""
    note_answers(desk, caller, [(sent.one, sent.other)], sent.answer)
    return answer({"answer": sent.answer})


def note_answers(desk: Desk, caller: Caller, pairs: Sequence[tuple[str, str]], said: str) -> None:
    """Remember what a user said to questions: "decided", "skip" or "later".

    Raises TrackletNotFound or PersonNotFound for a question about somebody who was erased since it was asked, unless
    it is decided: nobody counts that one any more.
    """
    if not pairs:
        return
    with desk.gallery.write() as connection:
        for one, other in pairs:
            try:
                demand_there(connection, one, other)
            except (PersonNotFound, TrackletNotFound):
                if said == "decided":
                    continue
                raise
            key = {"user": caller.name, "one": one, "other": other}
            connection.execute(delete(answers).where(*(answers.c[name] == value for name, value in key.items())))
            connection.execute(insert(answers).values(**key, answer=said, wall=time.time()))
            # They are at another one now.
            connection.execute(delete(places).where(*(places.c[name] == value for name, value in key.items())))


@router.delete("/review/answers")
def ask_again(desk: TheDesk, caller: Reviewer) -> Response:
    """Ask this user everything again that they skipped or put off."""
    with desk.gallery.write() as connection:
        own = (answers.c.user == caller.name, answers.c.answer != "decided")
        gone = connection.execute(delete(answers).where(*own)).rowcount
    return answer({"asked_again": gone})


def _described(desk: Any, question: Question) -> dict[str, Any] | None:
    one = desk.catalogue.get(question.one)
    other = desk.catalogue.get(question.other) if question.pair else None
    if one is None or (question.pair and other is None):
        return None
    return {
        **question.as_dict(),
        "person": one.as_dict(),
        "other_person": None if other is None else other.as_dict(),
    }
