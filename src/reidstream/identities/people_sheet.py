"""A page of people: each with their crops over time and cameras, how sure each is, and who looks like them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from reidstream.gallery import Gallery
from reidstream.gallery.sheet import Card, ClipOf, Group, clip_address, files_of, tracklet_card, wall_clock, write_sheet
from reidstream.identities.profiles import Profile, nearest_people, profiles_of
from reidstream.types import Tracklet
from reidstream.wording import counted


def write_people_sheet(
    gallery: Gallery,
    path: Path,
    wanted: list[str] | None = None,
    limit: int = 500,
    clip_of: ClipOf = lambda _tracklet: None,
) -> int:
    """Write the page of everybody, or of the wanted person ids; how many people it shows (``limit`` at most)."""
    profiles = profiles_of(gallery)
    shown = [profile for profile in profiles if wanted is None or profile.person.id in wanted][:limit]
    nearest = nearest_people(profiles, [profile.person.id for profile in shown]) if shown else {}
    groups, files = [], files_of(gallery)
    for profile in shown:
        others = ", ".join(f"{person.title} ({similarity:.2f})" for person, similarity in nearest[profile.person.id])
        groups.append(_group(gallery, profile, others, files, lambda t: clip_address(path, clip_of(t))))
    undecided = sum(profile.person.undecided for profile in shown)
    people = len(shown) - undecided
    whole = sum(not profile.person.undecided for profile in profiles)
    count = f"{people} of {whole} people" if people < whole else counted(people, "person")
    count += f", {counted(undecided, 'tracklet')} undecided" if undecided else ""
    write_sheet(path, f"People of {gallery.place}", f"{count}, each in the order of time", groups)
    return len(shown)


def _group(
    gallery: Gallery, profile: Profile, others: str, files: Mapping[str, str], clip_at: Callable[[str], str]
) -> Group:
    person = profile.person
    sure = dict(zip(person.tracklets, person.probability, strict=True))
    tracklets = sorted((gallery.tracklet(i) for i in person.tracklets), key=lambda t: (t.start_wall, t.id))
    count = len(tracklets)
    visits = counted(count, "visit")
    seen = f"{wall_clock(profile.first_seen)} to {wall_clock(profile.last_seen)}"
    lines = [
        f"{visits} at {', '.join(profile.cameras)} · {seen} · "
        f"{profile.seconds:.0f} s in view · least sure {min(person.probability):.2f} · id {person.id}"
    ]
    if person.notes:
        lines.insert(0, person.notes)
    if others:
        lines.append(f"looks most like: {others}")
    title = f"{person.title} (number {person.number})" if person.name else person.title
    cards = (replace(_card(t, sure[t.id], person.title, files.get(t.content)), clip=clip_at(t.id)) for t in tracklets)
    return Group(title, tuple(cards), "\n".join(lines))


def _card(tracklet: Tracklet, sure: float, person: str, file: str | None) -> Card:
    card = tracklet_card(tracklet, file=file)
    lines = (f"sure {sure:.2f}", *card.lines)
    return replace(
        card, title=tracklet.source, lines=lines, sort={**card.sort, "sure": sure}, search=f"{card.search} {person}"
    )
