"""Erasing with proof, exports, what somebody is given of themselves, and how far all that is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from reidstream.disclosure import Shown
from reidstream.disclosure.package import SURE
from reidstream.errors import AccessDenied, ConfigError, JobNotFound
from reidstream.gallery import Filter
from reidstream.server.api.common import Admin, Limit, Number, Operator, TheDesk, answer, entry_of, everything
from reidstream.server.jobs import Job

router = APIRouter(prefix="/api/v1", tags=["jobs"])

_FORMATS = ("zip", "parquet", "npz", "csv", "json")
_EXAMPLE: Any = {"people": {"value": {"people": ["5d2b6f0a91c3"]}}, "camera": {"value": {"sources": ["entrance"]}}}


class Erase(BaseModel):
    """Whom or what to erase: people, tracklets, or everything of some sources; one of the three."""

    model_config = ConfigDict(extra="forbid")
    people: list[str] = Field(default=[], max_length=10_000, description="Person ids: all of their tracklets.")
    tracklets: list[str] = Field(default=[], max_length=100_000, description="Tracklet ids.")
    sources: list[str] = Field(default=[], max_length=1000, description="Sources, or a time of them.")
    since: float | None = Field(default=None, description="With sources: only what was seen after this time.")
    until: float | None = Field(default=None, description="With sources: only what was seen before this time.")


class Export(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"format": "parquet"}]})
    format: str = Field(default="zip", description="zip (a folder that can be imported), parquet, npz, csv or json.")
    sources: list[str] = Field(default=[], max_length=1000, description="Only these sources.")
    since: float | None = Field(default=None, description="Only what was seen after this time, Unix seconds.")
    until: float | None = Field(default=None, description="Only what was seen before this time, Unix seconds.")


class Disclosure(BaseModel):
    """What a person is given of themselves."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"shown": "person"}]})
    shown: Shown = Field(
        default=Shown.PERSON,
        description="person: everything around the person is a coarse mosaic; scene: only other people are drawn over.",
    )
    sure: float = Field(default=SURE, ge=0, le=1, description="Only visits that are so surely this person's.")
    clips: bool = Field(default=True, description="Films as well, where there is a recording or a clip was kept.")


class Import(BaseModel):
    """What to import."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"folder": "/srv/exports/shop"}]})
    folder: str = Field(max_length=4096, min_length=1, description="A folder that an export wrote; an absolute path.")

    @field_validator("folder")
    @classmethod
    def _a_path(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("no path has a zero byte in it")
        return value


@router.post("/erasures", status_code=202)
def erase(desk: TheDesk, caller: Admin, wanted: Annotated[Erase, Body(openapi_examples=_EXAMPLE)]) -> Response:
    """Erase for good, as a job whose result is the proof."""
    everything(caller)
    if sum(map(bool, (wanted.people, wanted.tracklets, wanted.sources))) != 1:
        raise ConfigError("name people, tracklets or sources to erase, one of the three")
    contents: list[str] = []
    people: list[str] = []
    left_out: list[str] = []
    if wanted.people:
        entries = [entry_of(desk, caller, person) for person in wanted.people]
        people = [entry.person.id for entry in entries]
        ids = [tracklet for entry in entries for tracklet in entry.person.tracklets]
    elif wanted.tracklets:
        ids = list(dict.fromkeys(desk.gallery.find(t) for t in wanted.tracklets))
    else:
        known = desk.gallery.sources()
        if strange := set(wanted.sources) - {recording.source for recording in known}:
            raise ConfigError(f"no source {min(strange)!r} in this gallery")
        where = Filter(tuple(wanted.sources), wanted.since, wanted.until)
        ids = desk.gallery.rows(where).id.tolist()
        left_out = [one.id for one in desk.gallery.left_out(where)]
        if wanted.since is None and wanted.until is None:
            contents = [r.content for r in known if r.source in wanted.sources]
    if not ids and not contents and not left_out:
        raise ConfigError("no tracklet is meant by these conditions; nothing was erased")
    desk.log.note(caller, "erased", detail=f"{len(ids)} tracklets")
    return answer(desk.erase(caller, ids, contents, people, left_out).as_dict(), 202)


@router.post("/imports", status_code=202)
def take_in(desk: TheDesk, caller: Admin, wanted: Import) -> Response:
    """Add an exported gallery, which lies on the server's machine, as a job: all of it or nothing."""
    everything(caller)
    folder = Path(wanted.folder)
    if not folder.is_absolute():
        raise ConfigError("folder must be an absolute path on the server's machine")
    desk.log.note(caller, "imported")
    return answer(desk.take_in(caller, folder).as_dict(), 202)


@router.post("/rebuilds", status_code=202)
def rebuild(desk: TheDesk, caller: Admin) -> Response:
    """Make the vector index anew from the stored tracklets, as a job."""
    everything(caller)
    desk.log.note(caller, "had the index made anew")
    return answer(desk.rebuild(caller).as_dict(), 202)


@router.post("/exports", status_code=202)
def export(desk: TheDesk, caller: Operator, wanted: Export) -> Response:
    """Export tracklets (with people and decisions, as zip) as a job; its file is fetched once and within an hour."""
    if wanted.format not in _FORMATS:
        raise ConfigError(f"format must be one of {', '.join(_FORMATS)}, got {wanted.format!r}")
    sources = tuple(wanted.sources) or caller.sources
    if caller.cameras is not None and not caller.cameras.issuperset(sources):
        raise AccessDenied("you may export what your own cameras saw")
    where = Filter(sources, wanted.since, wanted.until)

    def work(job: Job) -> dict[str, Any]:
        from reidstream.gallery.exporting import export as write
        from reidstream.identities.archive import export_gallery

        folder = desk.jobs.folder
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"{job.id}.{wanted.format}"
        if wanted.format != "zip":
            count = write(desk.gallery, target, where)
        else:
            whole = folder / f"{job.id}"
            count = export_gallery(desk.gallery, whole, where)
            shutil.make_archive(str(whole), "zip", whole)
            shutil.rmtree(whole)
        return {"tracklets": count, "bytes": target.stat().st_size, "format": wanted.format}

    desk.log.note(caller, "exported", detail=wanted.format)
    return answer(desk.jobs.start("export", caller.name, work).as_dict(), 202)


@router.post("/people/{person}/disclosures", status_code=202)
def disclose(person: str, desk: TheDesk, caller: Operator, wanted: Disclosure) -> Response:
    """Write a person's own visits, pictures and clips, in which nobody else can be recognised, as a job; its file is
    fetched like an export's. Whoever sees some cameras only gets what these saw."""
    entry = entry_of(desk, caller, person)
    desk.log.note(caller, "had somebody's own pictures made", person=entry.person.id)
    return answer(desk.disclose(caller, entry.person.id, wanted.shown, wanted.sure, wanted.clips).as_dict(), 202)


@router.get("/jobs")
def list_jobs(desk: TheDesk, caller: Operator, limit: Limit = 50) -> Response:
    """The newest jobs first; whoever sees some cameras only sees their own."""
    found = [job.as_dict() for job in desk.jobs.newest(limit) if caller.cameras is None or job.who == caller.name]
    return answer({"jobs": found})


@router.get("/jobs/{number}")
def show_job(number: Number, desk: TheDesk, caller: Operator) -> Response:
    """One job: state, progress, result."""
    return answer(_own(desk.jobs.get(min(number, 2**53)), caller).as_dict())


@router.get("/exports/{number}/file", response_class=FileResponse)
def fetch(number: Number, desk: TheDesk, caller: Operator) -> Response:
    """The file of an export. It is gone an hour after it was made, or with the next erasure."""
    job = _own(desk.jobs.get(min(number, 2**53)), caller)
    path = Path()
    if job.kind in {"export", "disclosure"} and job.state == "done" and job.result is not None:
        path = desk.jobs.folder / f"{job.id}.{job.result['format']}"
    if not path.is_file():
        raise JobNotFound(f"export {number} has no file (any more); export again")
    desk.log.note(caller, "fetched an export")
    return FileResponse(path, filename=f"reidstream-{path.name}")


def _own(job: Job, caller: Any) -> Job:
    if caller.cameras is not None and job.who != caller.name:
        raise JobNotFound(f"there is no job {job.id}")
    return job
