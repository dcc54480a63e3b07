"""The record as a text: the same sections in Markdown and as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reidstream.pages import page_of
from reidstream.wording import counted


@dataclass(frozen=True, slots=True)
class Grid:
    """A table."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the record: sentences, and tables under them."""

    title: str
    said: tuple[str, ...]
    grids: tuple[Grid, ...] = ()


def markdown_of(report: dict[str, Any]) -> str:
    """The record as Markdown."""
    lines = [f"# {_TITLE}", "", _head(report), ""]
    for section in sections_of(report):
        lines += [f"## {section.title}", ""]
        for sentence in section.said:
            lines += [_cell(sentence), ""]
        for grid in section.grids:
            lines.append("| " + " | ".join(grid.head) + " |")
            lines.append("|" + "---|" * len(grid.head))
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in grid.rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def html_of(report: dict[str, Any]) -> str:
    """The record as a page of its own, without scripts."""
    values = {"title": _TITLE, "head": _head(report), "sections": list(sections_of(report))}
    return page_of("reidstream.server.privacy", "report.html.j2", **values)


_TITLE = "What is processed"


def sections_of(report: dict[str, Any]) -> Iterator[Section]:
    """The record in the order in which it is asked about."""
    unknown = () if report["settings_known"] else ("The settings are not known here: give them with --config.",)
    cameras = [
        _row(c["name"], ", ".join(c["from"]), c["live"], c["visits"], _day(c["first"]), _day(c["last"]), _zones(c))
        for c in report["cameras"]
    ]
    yield _section("Cameras", unknown, ("camera", "from", "live", "visits", "first", "last", "regions"), cameras)
    yield _purposes(report["purposes"])
    models = [
        _row(m["task"], m["name"], m["sha256"] or m["why"], m.get("terms"), m.get("source"), m.get("training_data"))
        for m in report["models"]
    ]
    yield _section("Models", (), ("for", "name", "sha256", "terms", "source", "trained on"), models)
    yield _stored(report)
    yield _kept(report["kept"])
    yield from _told(report["recipients"])
    yield _looked(report["looked"])
    erasures = report["erasures"]
    proofs = [
        _row(_moment(e["wall"]), e["who"], e["people"], e["tracklets"], _proof(e["proven"], e["reach"]))
        for e in erasures["by_servers"]
    ]
    said = f"The log tells of {counted(erasures['entries_in_the_log'], 'erasure')} of people."
    yield _section("Erasures", (said,), ("when", "by", "people", "visits", "proven"), proofs)


def _purposes(purposes: dict[str, Any]) -> Section:
    lists = [
        _row(
            *(one["name"], one["purpose"], one["people"], one["photos"]),
            *(f"{_day(one['until'])}{' (over)' if one['ended'] else ''}", one["author"]),
        )
        for one in purposes["lists"]
    ]
    rules = [
        _row(
            *(r["name"], r["purpose"], r["who"], r["list"], ", ".join(r["cameras"]) or "all"),
            *(r["zone"], r["hours"] or "always", f"{r['risk']:g}", "holds" if r["active"] else "does not hold"),
        )
        for r in purposes["rules"]
    ]
    none = () if lists or rules else ("Nobody is watched for: there are no watch lists and no rules.",)
    grids = []
    if lists:
        grids.append(Grid(("watch list", "purpose", "people", "photos", "until", "by"), tuple(lists)))
    if rules:
        head = ("rule", "purpose", "about", "list", "cameras", "zone", "hours", "accepted risk", "now")
        grids.append(Grid(head, tuple(rules)))
    return Section("Purposes", none, tuple(grids))


def _stored(report: dict[str, Any]) -> Section:
    stored = report["stored"]
    numbers = [_row(name.replace("_", " "), f"{count:,}") for name, count in stored.items()]
    places = [_row(one["name"], one["beyond"] or "erased with whom it is about") for one in report["stores"]]
    grids = (Grid(("what", "how many"), tuple(numbers)), Grid(("kept", "when somebody is erased"), tuple(places)))
    return Section("What is stored", (), grids)


def _kept(kept: dict[str, Any]) -> Section:
    rules = kept["visits"]
    if rules is None:
        said = ["There are no rules by which visits go: they stay until somebody erases them."]
    else:
        cameras = ", ".join(f"{camera} {_days(days)}" for camera, days in rules["cameras"].items())
        said = [f"Visits are kept for {_days(rules['days'])}" + (f"; of cameras: {cameras}" if cameras else "")]
        if rules["named_days"] is not None:
            said[0] += f"; of people with a name: {_days(rules['named_days'])}"
        said[0] += "."
    if kept["clips_kept"] is not None:
        clips = f"for {_days(kept['clips_days'])}" if kept["clips_kept"] else "not kept"
        said.append(f"Clips: {clips}. Alerts: for {_days(kept['alerts_days'])}.")
    said.append(
        f"Photos on watch lists: for {kept['photos_days']:g} days at most unless somebody said otherwise. The log of "
        f"who looked: for {kept['log_days']:g} days. Exports that nobody fetches: for {kept['exports_hours']:g} h."
    )
    runs = [
        _row(
            _moment(r["begun_wall"]), r["state"], r["who"], r["tracklets"], r["people"], _proof(r["proven"], r["reach"])
        )
        for r in kept["runs"]
    ]
    return _section("How long", said, ("run", "state", "by", "visits", "people", "proven"), runs)


def _told(recipients: dict[str, Any]) -> Iterator[Section]:
    users = [_row(u["name"], u["role"], _which(u["cameras"]), _day(u["since"])) for u in recipients["users"]]
    held = [
        _row(t["name"], t["user"], t["role"], _which(t["cameras"]), _day(t["since"]), _day(t["used"]))
        for t in recipients["tokens"]
    ]
    grids = []
    if users:
        grids.append(Grid(("user", "role", "cameras", "since"), tuple(users)))
    if held:
        grids.append(Grid(("token", "of", "role", "cameras", "since", "last used"), tuple(held)))
    none = () if grids else ("Nobody has an account; who may read the gallery's files may read everything.",)
    provider = recipients["provider"]
    by = (f"The OpenID provider {provider} learns who signs in, and when.",) if provider else ()
    yield Section("Who has access", none + by, tuple(grids))
    targets = recipients["targets"]
    if targets is None:
        yield Section("Who is told", ("The settings are not known here, so that nobody can say who is told.",))
        return
    rows = [
        _row(t["address"], ", ".join(t["kinds"]) or "all", t["format"], t["signed"], t["last_pictures"])
        for t in targets
    ]
    said = () if rows else ("No broker and no web server is told what happens.",)
    yield _section("Who is told", said, ("address", "events", "format", "signed", "last pictures"), rows)


def _looked(looked: dict[str, Any]) -> Section:
    actions = [_row(a["who"], a["action"], a["times"], _moment(a["last"])) for a in looked["actions"]]
    decisions = [_row(d["who"], d["kind"], d["times"], _moment(d["last"])) for d in looked["decisions"]]
    said = f"In the {looked['days']:g} days before. Whoever reads the gallery's files without the server is in no log."
    grids = []
    if actions:
        grids.append(Grid(("who", "did", "times", "last"), tuple(actions)))
    if decisions:
        grids.append(Grid(("who", "decided", "times", "last"), tuple(decisions)))
    return Section("Who looked", (said,), tuple(grids))


def _section(title: str, said: Sequence[str], head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Section:
    return Section(title, tuple(said), (Grid(head, tuple(rows)),) if rows else ())


def _head(report: dict[str, Any]) -> str:
    return f"Gallery {report['gallery']}, {_moment(report['made'])}, by ReIDStream {report['version']}."


def _row(*values: Any) -> tuple[str, ...]:
    return tuple("" if v is None else "yes" if v is True else "no" if v is False else str(v) for v in values)


def _zones(camera: dict[str, Any]) -> str:
    ignored = camera["ignored_regions"]
    parts = [f"{counted(ignored, 'region')} not looked at"] if ignored else []
    return ", ".join(parts + [f"zone {name}" for name in camera["zones"]])


def _which(cameras: list[str] | None) -> str:
    return "all" if cameras is None else ", ".join(cameras) or "none"


def _days(days: float | str | None) -> str:
    if days in (None, "never"):
        return "ever"
    return f"{days:g} days" if isinstance(days, float | int) else str(days)


def _proof(proven: bool | None, reach: str | None) -> str:
    return "" if proven is None else "yes" if proven else f"no: {reach or 'nothing could be read before'}"


def _moment(wall: float | None) -> str:
    return "" if wall is None else datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(wall: float | None) -> str:
    return _moment(wall)[:10]


def _cell(text: str) -> str:
    """Text as it stands in Markdown: nothing in it is taken for a mark of its own."""
    plain = " ".join(text.split())
    for mark in "\\`*_{}[]<>#|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain
