"""What the page of numbers shows: charts and tables, made on the server for whoever asks."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.numbers.asking import asked_for
from reidstream.numbers.buckets import Bucket, Clock
from reidstream.numbers.charts import axis_of, flow_chart, people_chart
from reidstream.numbers.counting import people_numbers
from reidstream.numbers.journeys import journeys

_MOST_ROWS = 500
"""Rows of a table on the page; the file has all."""


class NumbersForm(BaseModel):
    """What is chosen on the page."""

    model_config = ConfigDict(extra="ignore")
    by: Bucket = Bucket.HOUR
    camera: str = Field(default="", max_length=200)
    since: str = Field(default="", max_length=40)
    until: str = Field(default="", max_length=40)
    time_zone: str = Field(default="", max_length=60)


def numbers_page(gallery: Gallery, visible: tuple[str, ...] | None, form: NumbersForm) -> dict[str, Any]:
    """The values of the page's template. visible: the cameras that the one who asks may see, None for all."""
    known = sorted({r.source for r in gallery.sources() if visible is None or r.source in visible})
    values: dict[str, Any] = {
        "form": form,
        "cameras": known,
        "buckets": [bucket.value for bucket in Bucket],
        "charts": [],
        "rows": [],
        "more": 0,
        "flow": "",
        "flows": [],
        "problem": "",
        "without_person": 0,
        "undecided": 0,
        "time_zone": form.time_zone or "UTC",
    }
    try:
        # The last day counts as a whole, as people mean it.
        until = str(Clock(form.time_zone or "UTC").next_day(form.until)) if form.until else None
        asked = asked_for(
            gallery,
            visible=visible,
            cameras=[form.camera] if form.camera else [],
            by=form.by.value,
            since=form.since or None,
            until=until,
            time_zone=form.time_zone or "UTC",
        )
    except ConfigError as error:
        return {**values, "problem": str(error)}
    found = people_numbers(gallery, asked).as_dict()
    rows = found["rows"]
    places = list(dict.fromkeys((row["camera"], row["zone"]) for row in rows))
    charts = []
    axis = axis_of(rows, asked.clock, form.by)
    for camera, zone in places:
        own = [row for row in rows if (row["camera"], row["zone"]) == (camera, zone)]
        name = " · ".join(filter(None, (camera or "all cameras", zone)))
        title = f"People per {form.by.value}: {name}"
        charts.append({"name": name, "svg": people_chart(own, axis, title)})
    flows = journeys(gallery, asked).as_dict()
    return {
        **values,
        "charts": charts if form.by is not Bucket.ALL else [],
        "rows": rows[-_MOST_ROWS:],
        "more": max(0, len(rows) - _MOST_ROWS),
        "flow": flow_chart(flows["flows"], "From camera to camera"),
        "flows": flows["flows"],
        "without_person": found["without_person"],
        "undecided": flows["undecided"],
    }
