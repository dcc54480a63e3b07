"""``reidstream watch``: watch lists and rules, each with what it is for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.people.group import PERSON, login
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.alerts import WatchLists
    from reidstream.client import Client
    from reidstream.gallery import Gallery

app = typer.Typer(help="Whom to look for: watch lists, and rules that raise alerts.", no_args_is_help=True)

LIST = "A watch list, by name or id."
RULE = "A rule, by name or id."
_DAY = 86_400.0


@app.command("lists")
def lists_(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """The watch lists, what they are for, and who is on them.

    Example: reidstream watch lists --gallery shop
    """
    found = _asked(gallery, lambda lists, _: {"lists": [one.as_dict() for one in lists.all()]}, _get("/watch/lists"))
    if as_json:
        print_json(found)
        return
    for one in found["lists"]:
        out = console()
        out.print(f"{one['name']}, until {_date(one['until'])}: {one['purpose']}")
        for entry in one["entries"]:
            kept = f", until {_date(entry['until'])}" if entry["until"] else ""
            out.print(f"  {entry['id']}  {entry['title']}{kept}{'' if entry['usable'] else ', not usable any more'}")
    if not found["lists"]:
        console().print("no watch lists")


@app.command("make")
def make(
    name: str = typer.Argument(..., help="What the list is called."),
    purpose: str = typer.Option(..., "--purpose", help="What it is for, in words."),
    days: float = typer.Option(30.0, "--days", min=0.01, max=366, help="It ends after so many days."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Make a watch list.

    Example: reidstream watch make barred --purpose "banned from the shop by a court" --days 90 --gallery shop
    """
    until = time.time() + days * _DAY
    made = _changed(
        gallery,
        lambda lists, _: lists.make(name, purpose, until, login()).as_dict(),
        lambda client: client.post("/watch/lists", {"name": name, "purpose": purpose, "until": until}),
    )
    _tell(made, as_json, f"the list {made['name']} ends {_date(made['until'])}")


@app.command("add")
def add(
    name: str = typer.Argument(..., metavar="LIST", help=LIST),
    who: str = typer.Argument(..., help=PERSON + " Or a photo of one (a file)."),
    days: float = typer.Option(30.0, "--days", min=0.01, max=366, help="A photo is deleted after so many days."),
    whole: bool = typer.Option(False, "--whole", help="The whole photo is the person."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Put somebody of the gallery, or whoever a photo shows, on a list.

    Example: reidstream watch add barred Ann --gallery shop
    """
    photo = Path(who)

    def here(lists: WatchLists, opened: Gallery) -> dict[str, Any]:
        if photo.is_file():
            from reidstream.search.answers import QueryModels
            from reidstream.search.query import photo_query

            lists.get(name)
            models = QueryModels(opened)
            asked = photo_query(photo, models.embedder(), models.detector, whole=whole)
            return lists.add_photo(name, asked.vector, asked.crop or b"", login(), days).as_dict()
        from reidstream.identities.catalogue import Catalogue

        return lists.add_person(name, Catalogue(opened).find(who).best, login()).as_dict()

    def there(client: Client) -> dict[str, Any]:
        if photo.is_file():
            return client.put_photo_on_list(name, photo, days=days, whole=whole)
        return client.post(f"/watch/lists/{_quoted(name)}/people", {"person": who})

    made = _changed(gallery, here, there)
    _tell(made, as_json, f"{made['title']} is on the list")


@app.command("remove")
def remove(
    name: str = typer.Argument(..., metavar="LIST", help=LIST),
    entry: str = typer.Argument(..., help="The id of the entry, as `watch lists` prints it."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Take somebody, or a photo, off a list.

    Example: reidstream watch remove barred 5d2b6f0a91c3 --gallery shop
    """
    path = f"/watch/lists/{_quoted(name)}/entries/{_quoted(entry)}"
    _changed(gallery, lambda lists, _: lists.remove(name, entry), lambda client: client.delete(path))
    _tell({"removed": entry}, as_json, f"{entry} is off the list")


@app.command("drop")
def drop(
    name: str = typer.Argument(..., metavar="LIST", help=LIST), gallery: str = GALLERY, as_json: bool = JSON
) -> None:
    """Delete a list with everybody on it, and the rules about it; what was raised stays.

    Example: reidstream watch drop barred --gallery shop
    """
    path = f"/watch/lists/{_quoted(name)}"
    _changed(gallery, lambda lists, _: lists.drop(name), lambda client: client.delete(path))
    _tell({"deleted": name}, as_json, f"the list {name} is deleted")


@app.command("rules")
def rules(gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """The rules, and whether they hold.

    Example: reidstream watch rules --gallery shop
    """
    found = _asked(gallery, lambda lists, _: {"rules": [one.as_dict() for one in lists.rules()]}, _get("/watch/rules"))
    if as_json:
        print_json(found)
        return
    table = TerminalTable("rule", "holds", "who", "where", "when", "risk", "what for", box=None, pad_edge=False)
    for one in found["rules"]:
        who = f"{one['who']} {one['list'] or ''}".strip()
        where = ", ".join(one["cameras"]) or "everywhere"
        where += f", in {one['zone']}" if one["zone"] else ""
        where += f", for {one['dwell']:g} s" if one["dwell"] else ""
        when = " ".join(filter(None, [one["hours"], ",".join(one["days"]), one["timezone"] if one["hours"] else ""]))
        holds = "yes" if one["active"] else "no"
        table.add_row(one["name"], holds, who, where, when, f"{one['risk']:.0%}", one["purpose"])
    console().print(table if found["rules"] else "no rules: nothing is watched for")


@app.command("rule")
def rule(
    name: str = typer.Argument(..., help="What the rule is called."),
    purpose: str = typer.Option(..., "--purpose", help="What it is for, in words."),
    who: str = typer.Option(..., "--who", help="listed (on a list), unknown (without a name) or anybody."),
    listed: str | None = typer.Option(None, "--list", help="The watch list; unknown: whoever is not on it."),
    camera: list[str] = typer.Option([], "--camera", help="Only this camera; repeatable."),
    zone: str | None = typer.Option(None, "--zone", help="Only who stands in this zone."),
    dwell: float = typer.Option(0.0, "--dwell", min=0, help="Only who is there so many seconds."),
    hours: str | None = typer.Option(None, "--hours", help="Only then, like 22:00-06:00."),
    day: list[str] = typer.Option([], "--day", help="Only on this day: mon, tue, ...; repeatable."),
    timezone: str = typer.Option("UTC", "--timezone", help="Whose clock hours and days are, like Europe/Berlin."),
    cooldown: float = typer.Option(60.0, "--cooldown", min=0, help="Seconds in which the same is said once only."),
    risk: float = typer.Option(0.1, "--risk", help="The accepted probability that it is about somebody else."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Add a rule; it holds from now on.

    Example: reidstream watch rule "stranger at night" --purpose "burglaries in March" --who unknown --hours 22:00-06:00
    """
    from reidstream.alerts.lists import rule_settings

    values: dict[str, Any] = {
        "name": name,
        "purpose": purpose,
        "who": who,
        "list": listed,
        "cameras": camera,
        "zone": zone,
    }
    values |= {"dwell": dwell, "hours": hours, "days": day, "timezone": timezone, "cooldown": cooldown, "risk": risk}
    settings = rule_settings(values)
    made = _changed(
        gallery,
        lambda lists, _: lists.add_rule(settings, login()).as_dict(),
        lambda client: client.post("/watch/rules", settings.model_dump(mode="json")),
    )
    _tell(made, as_json, f"the rule {made['name']} holds")


@app.command("switch")
def switch(
    name: str = typer.Argument(..., metavar="RULE", help=RULE),
    on: bool = typer.Option(..., "--on/--off", help="Whether it holds."),
    gallery: str = GALLERY,
    as_json: bool = JSON,
) -> None:
    """Have a rule hold, or not for now.

    Example: reidstream watch switch "stranger at night" --off --gallery shop
    """
    found = _changed(
        gallery,
        lambda lists, _: lists.switch(name, on).as_dict(),
        lambda client: client.patch(f"/watch/rules/{_quoted(name)}", {"active": on}),
    )
    _tell(found, as_json, f"the rule {found['name']} {'holds' if found['active'] else 'does not hold'}")


@app.command("drop-rule")
def drop_rule(
    name: str = typer.Argument(..., metavar="RULE", help=RULE), gallery: str = GALLERY, as_json: bool = JSON
) -> None:
    """Delete a rule; what it raised stays.

    Example: reidstream watch drop-rule "stranger at night" --gallery shop
    """
    path = f"/watch/rules/{_quoted(name)}"
    _changed(gallery, lambda lists, _: lists.drop_rule(name), lambda client: client.delete(path))
    _tell({"deleted": name}, as_json, f"the rule {name} is deleted")


def _asked(
    gallery: str, here: Callable[[WatchLists, Gallery], Any], there: Callable[[Client], dict[str, Any]]
) -> dict[str, Any]:
    """What a gallery says: read beside whoever owns it, or asked of a server elsewhere."""
    from reidstream.cli.asked import is_elsewhere

    if is_elsewhere(gallery):
        from reidstream.client import open_client

        with open_client(gallery) as client:
            return there(client)
    from reidstream.alerts import WatchLists
    from reidstream.gallery import Gallery

    with Gallery.open(gallery) as opened:
        found: dict[str, Any] = here(WatchLists(opened), opened)
        return found


def _changed(gallery: str, here: Callable[[WatchLists, Gallery], Any], there: Callable[[Client], Any]) -> Any:
    """Change a gallery here, or through the server that owns it."""
    from reidstream.cli.asked import served

    with served(gallery) as client:
        if client is not None:
            return there(client)
        from reidstream.alerts import WatchLists
        from reidstream.gallery import Gallery

        with Gallery.open(gallery, write=True) as opened:
            return here(WatchLists(opened), opened)


def _get(path: str) -> Callable[[Client], dict[str, Any]]:
    return lambda client: client.get(path)


def _tell(document: dict[str, Any], as_json: bool, words: str) -> None:
    if as_json:
        print_json(document)
    else:
        console().print(words)


def _date(wall: float) -> str:
    from reidstream.gallery.sheet import wall_clock

    return wall_clock(wall)


def _quoted(word: str) -> str:
    return quote(word, safe="")
