"""``reidstream events``: what happens in a gallery, for other programs."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidstream.cli.filters import wall_time
from reidstream.cli.options import GALLERY
from reidstream.errors import ConfigError

if TYPE_CHECKING:
    from reidstream.identities.delivery import Position, Subscriber


class EventFormat(StrEnum):
    """How events are written down for others."""

    PLAIN = "plain"
    CLOUDEVENTS = "cloudevents"


def events(
    gallery: str = GALLERY,
    after: int | None = typer.Option(None, "--after", min=0, help="Only events after this number (seq)."),
    since: str | None = typer.Option(None, "--since", help="Only events from this time on: 2026-01-31T17:00 (UTC)."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with what happens from now; Ctrl-C ends it."),
    webhook: str | None = typer.Option(
        None,
        "--to",
        "--webhook",
        help="Deliver them instead: to a web server (https://), mqtt://, mqtts://, nats://, nats+tls://, kafka://, kafka+tls://.",
    ),
    envelope: EventFormat = typer.Option(EventFormat.PLAIN, "--format", help="How events are written down, with --to."),
    secret_env: str | None = typer.Option(
        None, "--secret-env", help="Environment variable with the secret that signs requests."
    ),
    secret_file: Path | None = typer.Option(None, "--secret-file", help="File with that secret."),
    ca: Path | None = typer.Option(
        None, "--ca", help="PEM file with the authorities whose certificates a broker may have; with TLS."
    ),
    position: Path | None = typer.Option(
        None, "--position", help="File that keeps how far the reader has come; webhooks have one beside the gallery."
    ),
) -> None:
    """Print what happens as JSON lines, in order: tracklets stored, people created, seen again, merged and so on.

    Works while a run fills the gallery. Whom they are delivered to gets every event at least once.

    Example: reidstream events --gallery shop --follow
    Example: reidstream events --gallery shop --follow --to https://example.org/people --secret-env SECRET
    Example: reidstream events --gallery shop --follow --to mqtt://broker:1883/people --format cloudevents
    """
    from pydantic import ValidationError

    from reidstream.brokers import subscriber_of
    from reidstream.config import TargetConfig
    from reidstream.config.redaction import redacted
    from reidstream.gallery import Gallery
    from reidstream.identities import delivery
    from reidstream.identities.outbox import seq_before

    if since is not None and after is not None:
        raise ConfigError("--since (a time) and --after (a number) exclude each other")
    if since is not None and since.isdigit() and len(since) < 9:
        raise ConfigError(f"--since takes a time such as 2026-01-31T17:00; for events after a number: --after {since}")
    signing: str | None = None
    if webhook is None and envelope is not EventFormat.PLAIN:
        raise ConfigError("--format says how events are delivered; name somebody with --to")
    if secret_env is not None or secret_file is not None:
        if webhook is None:
            raise ConfigError("--secret-env and --secret-file sign what is sent to a web server (--to); there is none")
        if secret_env is not None and secret_file is not None:
            raise ConfigError("--secret-env and --secret-file exclude each other")
        signing = f"env:{secret_env}" if secret_env is not None else f"file:{secret_file}"
    with Gallery.open(gallery) as opened, ExitStack() as stack:
        subscriber: Subscriber = delivery.Lines()
        if webhook is not None:
            try:
                target = TargetConfig(
                    uri=webhook, format=envelope.value, secret=signing, ca=None if ca is None else str(ca)
                )
            except ValidationError as error:
                raise ConfigError(f"--to {redacted(webhook)}: {error.errors()[0]['msg']}") from None
            subscriber = delivered = subscriber_of(target, opened)
            stack.callback(delivered.close)
        kept: Position | None = None
        if webhook is not None and position is None:
            position = delivery.position_file(opened, webhook)
        if position is not None:
            kept = delivery.Position(position, opened)
        begin = after if after is not None else kept.seq if kept is not None else 0
        if since is not None:
            begin = seq_before(opened, wall_time(since))
        delivery.follow(opened, subscriber, begin, position=kept, forever=follow)
