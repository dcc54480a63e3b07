"""What is processed here, for those who must account for it."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from reidstream.server.api.common import Admin, TheDesk, answer, everything
from reidstream.server.privacy import LOOKED_DAYS, html_of, markdown_of, privacy_report

router = APIRouter(prefix="/api/v1", tags=["privacy"])


@router.get("/privacy/report")
def report(
    desk: TheDesk,
    caller: Admin,
    format: Annotated[Literal["json", "md", "html"], Query(description="How it is written.")] = "json",
    days: Annotated[float, Query(gt=0, le=1000, description="How far back who looked is counted.")] = LOOKED_DAYS,
) -> Response:
    """Cameras, purposes, models, what is stored and for how long, who has access and is told, who looked, and what was
    erased; without any secret."""
    everything(caller)
    desk.log.note(caller, "wrote the record of what is processed")
    found = privacy_report(desk.gallery, desk.config, time.time(), days)
    if format == "json":
        return answer(found)
    text, kind = (markdown_of(found), "text/markdown") if format == "md" else (html_of(found), "text/html")
    name = f"reidstream-privacy.{format}"
    # A file to keep, not a page of this server: its policy would not let it have a style.
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)
