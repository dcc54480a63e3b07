"""How long people are kept: what the rules mean now, erasing what is due, and when that was done."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Response

from reidstream.errors import ConfigError
from reidstream.retention import due_now, next_run, runs_of
from reidstream.retention.log import said
from reidstream.server.api.common import Admin, Operator, TheDesk, answer, everything

router = APIRouter(prefix="/api/v1", tags=["retention"])

_SHOWN = 20


@router.get("/retention")
def show(desk: TheDesk, caller: Operator) -> Response:
    """The rules, what is due by them now, when it is erased next, and the last runs; nobody is named."""
    everything(caller)
    rules = desk.config.retention
    now = time.time()
    due: dict[str, Any] | None = due_now(desk.gallery, rules, now).as_dict() if rules.is_set else None
    if due is not None:
        # JSON knows no number for ever.
        for camera in due["cameras"]:
            camera["days"] = "never" if camera["days"] == float("inf") else camera["days"]
    following = next_run(desk.gallery, rules, desk.begun, now)
    return answer(
        {
            "rules": said(rules) if rules.is_set else None,
            "due": due,
            "next": following,
            "runs": [run.as_dict() for run in runs_of(desk.gallery, _SHOWN)],
        }
    )


@router.post("/retention", status_code=202)
def erase(desk: TheDesk, caller: Admin) -> Response:
    """Erase now what is due, as a job whose result is the proof."""
    everything(caller)
    if not desk.config.retention.is_set:
        raise ConfigError("the server has no rules: set retention.days in its configuration and start it again")
    desk.log.note(caller, "erased what was due")
    return answer(desk.retain(caller.name).as_dict(), 202)
