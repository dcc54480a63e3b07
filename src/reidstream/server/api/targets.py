"""Who is told what happens, and how far each has come."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from reidstream.server.api.common import Operator, answer, everything
from reidstream.server.telling import Telling

router = APIRouter(prefix="/api/v1", tags=["targets"])


@router.get("/targets")
def targets(request: Request, caller: Operator) -> Response:
    """The brokers and web servers of the configuration: how far each has come, and what is in the way.

    ``former``: those that were taken out of it, and still keep what they were told until they answer.
    """
    everything(caller)
    telling: Telling = request.app.state.telling
    return answer({"targets": [target.as_dict() for target in telling.targets], "former": telling.former})
