"""``people clocks``: whose clock is ahead of whose."""

from __future__ import annotations

from pathlib import Path

from reidstream.cli.common import console, print_json
from reidstream.cli.options import CONFIG, GALLERY, JSON, SETTINGS
from reidstream.cli.people.group import app
from reidstream.cli.terminal import TerminalTable


@app.command()
def clocks(
    gallery: str = GALLERY,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Show whose clock is ahead of whose, as the people say who walk from camera to camera and back.

    What is shown is what the setting identities.clocks does not correct yet. Nothing is changed.

    Example: reidstream people clocks --gallery shop
    Example: reidstream people clocks --gallery shop --set 'identities.clocks={hall=7.5}'
    """
    from dataclasses import asdict

    from reidstream.config import load_config
    from reidstream.gallery import Gallery
    from reidstream.identities.clocks import clocks_of

    tree = load_config(config, settings or []).identities
    with Gallery.open(gallery) as opened:
        found = clocks_of(opened, tree)
    if as_json:
        print_json([{**asdict(clock), "differs": clock.differs} for clock in found])
        return
    if not found:
        console().print("One camera has nobody to compare its clock with.")
        return
    table = TerminalTable("camera", "clock", "walks there", "walks back", box=None)
    for clock in found:
        told = "cannot be told: too few walk there and back"
        if clock.ahead is not None and clock.error is not None:
            side = "ahead of" if clock.ahead >= 0 else "behind"
            told = f"{abs(clock.ahead):.1f} s {side} {clock.reference} (± {clock.error:.1f})"
            told += "" if clock.differs else ", which may be chance"
        table.add_row(clock.camera, told, str(clock.there), str(clock.back))
    console().print(table)
    wrong = {clock.camera: round(clock.ahead + clock.told, 1) for clock in found if clock.differs and clock.ahead}
    if wrong:
        listed = ", ".join(f'"{camera}" = {seconds}' for camera, seconds in sorted(wrong.items()))
        console().print(f"To correct it: identities.clocks = {{ {listed} }}", markup=False)
