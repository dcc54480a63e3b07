"""``reidstream alerts``: what was raised, and that somebody has seen to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from reidstream.cli.common import console, print_json
from reidstream.cli.options import GALLERY, JSON
from reidstream.cli.people.group import login
from reidstream.cli.terminal import TerminalTable

if TYPE_CHECKING:
    from reidstream.alerts import Alerts
    from reidstream.client import Client

app = typer.Typer(help="What was raised by the rules of `reidstream watch`.", no_args_is_help=True)

ALERT = "The alert's id, as `alerts list` prints it."


@app.command("list")
def list_(
    gallery: str = GALLERY,
    state: str | None = typer.Option(None, "--state", help="open, raised, confirmed or withdrawn."),
    limit: int = typer.Option(100, "--limit", "-n", min=1, max=500, help="Print at most this many, the newest."),
    as_json: bool = JSON,
) -> None:
    """Alerts, the newest first.

    Example: reidstream alerts list --state open --gallery shop
    """
    from reidstream.errors import ConfigError

    if state not in (None, "open", "raised", "confirmed", "withdrawn"):
        raise ConfigError(f"--state is open, raised, confirmed or withdrawn; got {state!r}")
    params = {"limit": limit, **({"state": state} if state else {})}

    def there(client: Client) -> Any:
        return client.get("/alerts", **params)["alerts"]

    found = _asked(gallery, lambda alerts: alerts.page(limit, state=state), there)
    if as_json:
        print_json({"alerts": found})
        return
    from reidstream.gallery.sheet import wall_clock

    table = TerminalTable("id", "when (UTC)", "rule", "camera", "who", "sure", "state", "seen to by", box=None)
    for one in found:
        person = one["person"]
        who = (person["name"] or f"person {person['number']}") if person else one["why"]["who"]
        state_ = one["state"] + (f" ({one['reason']})" if one["reason"] else "")
        sure = f"{one['probability']:.0%}"
        row = (one["id"], wall_clock(one["wall"]), one["rule"]["name"], one["source"], who, sure, state_)
        table.add_row(*row, one["acknowledged_by"] or "")
    console().print(table if found else "no alerts")


@app.command("acknowledge")
def acknowledge(id: str = typer.Argument(..., help=ALERT), gallery: str = GALLERY, as_json: bool = JSON) -> None:
    """Say that somebody has seen to an alert.

    Example: reidstream alerts acknowledge 5d2b6f0a91c34e77 --gallery shop
    """
    from reidstream.cli.asked import served

    with served(gallery) as client:
        if client is not None:
            done = client.post(f"/alerts/{quote(id, safe='')}/acknowledge", {})
        else:
            from reidstream.alerts import Alerts
            from reidstream.gallery import Gallery

            with Gallery.open(gallery, write=True) as opened:
                Alerts(opened).get(id)
                done = Alerts(opened).acknowledge(id, login())
    if as_json:
        print_json(done)
    else:
        console().print(f"{done['rule']['name']}: seen to by {done['acknowledged_by']}")


@app.command("picture")
def picture(
    id: str = typer.Argument(..., help=ALERT),
    to: Path = typer.Argument(..., help="The JPEG file to write."),
    gallery: str = GALLERY,
) -> None:
    """Write the camera's picture of an alert's moment into a file.

    Example: reidstream alerts picture 5d2b6f0a91c34e77 moment.jpg --gallery shop
    """
    from reidstream.errors import WatchNotFound
    from reidstream.files import whole_file

    found = _asked(
        gallery,
        lambda alerts: alerts.picture(id) or alerts.picture(id, "crop"),
        lambda client: client.alert_picture(id),
    )
    if found is None:
        raise WatchNotFound("there is no picture of this alert any more")
    with whole_file(to) as partial:
        partial.write_bytes(found)
    console().print(f"wrote {to}")


def _asked(gallery: str, here: Any, there: Any) -> Any:
    """What a gallery says: read beside whoever owns it, or asked of a server elsewhere."""
    from reidstream.cli.asked import is_elsewhere

    if is_elsewhere(gallery):
        from reidstream.client import open_client

        with open_client(gallery) as client:
            return there(client)
    from reidstream.alerts import Alerts
    from reidstream.gallery import Gallery

    with Gallery.open(gallery) as opened:
        alerts: Alerts = Alerts(opened)
        return here(alerts)
