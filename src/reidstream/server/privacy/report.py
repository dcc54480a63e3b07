"""What is processed: cameras, purposes, models, what is stored, for how long, who is told, and who looked.

Plain values, and no secret: addresses come without passwords, accounts and tokens without what opens them. Nobody in
the pictures is named, but whom operators name in a purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import reidstream
from reidstream.alerts.lists import PHOTO_DAYS, WatchLists
from reidstream.config import Config
from reidstream.config.redaction import redacted
from reidstream.errors import ModelError
from reidstream.gallery import Gallery
from reidstream.gallery.personal import stores_of
from reidstream.identities.people import count_people
from reidstream.retention import runs_of
from reidstream.retention.log import said
from reidstream.server.access.log import KEPT_SECONDS as LOG_SECONDS
from reidstream.server.jobs import FILES_KEPT_SECONDS, KEPT_SECONDS
from reidstream.server.privacy.records import accounts_of, counts_of, erasures_of, looks_of, sources_of

LOOKED_DAYS = 90.0
"""Days of the log that are counted, unless somebody says otherwise; it goes no further back."""
_DAY = 86_400.0
_RUNS = 10


def privacy_report(
    gallery: Gallery, config: Config | None, now: float, looked_days: float = LOOKED_DAYS
) -> dict[str, Any]:
    """The record of a gallery as plain values.

    config: the settings that it is filled and served with; None when nobody knows them here, which is then said. now:
    Unix seconds. looked_days: how far back who looked is counted.
    """
    with gallery.read() as connection:
        counts = counts_of(connection)
        looked = looks_of(connection, now - looked_days * _DAY)
        stores = [
            {"name": store.name, "tables": list(store.tables), "files": list(store.files), "beyond": store.beyond}
            for store in stores_of(connection)
        ]
    people, undecided = count_people(gallery, None)
    return {
        "gallery": redacted(str(gallery.place)),
        "made": now,
        "version": reidstream.__version__,
        "settings_known": config is not None,
        "cameras": _cameras(gallery, config),
        "purposes": _purposes(gallery, now),
        "models": list(_models(gallery, config)),
        "decides": None if config is None else config.identities.model_dump(mode="json", exclude={"topology"}),
        "stored": {"people": people, "undecided": undecided, **counts},
        "stores": stores,
        "kept": _kept(gallery, config),
        "recipients": {**accounts_of(gallery), "targets": _targets(config), "provider": _provider(config)},
        "looked": {"days": looked_days, **looked},
        "erasures": erasures_of(gallery),
    }


def _cameras(gallery: Gallery, config: Config | None) -> list[dict[str, Any]]:
    """Every source that was read, is configured, or was added on the page."""
    found: dict[str, dict[str, Any]] = {}
    for one in gallery.sources():
        camera = found.setdefault(one.source, _camera(one.source))
        camera["live"] |= one.live
        camera["recordings"] += 1
        camera["visits"] += one.tracklets
        camera["from"] = sorted({*camera["from"], redacted(one.uri)})
        camera["first"] = min(camera["first"] or one.started_wall, one.started_wall)
        camera["last"] = max(camera["last"] or 0.0, one.ended_wall or one.started_wall)
    for name, source, paused in sources_of(gallery, config):
        camera = found.setdefault(name, _camera(name))
        camera["from"] = sorted({*camera["from"], redacted(source.uri)})
        camera |= {"read": not paused, "ignored_regions": len(source.ignore), "zones": sorted(source.zones)}
    return [found[name] for name in sorted(found)]


def _camera(name: str) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "recordings": 0,
        "visits": 0,
        "first": None,
        "last": None,
        "ignored_regions": None,
        "zones": [],
    }
    return {"name": name, "from": [], "live": False, "read": False, **empty}


def _purposes(gallery: Gallery, now: float) -> dict[str, Any]:
    """What is watched for, and why, in the words of those who made it so."""
    watch = WatchLists(gallery, lambda: now)
    lists = []
    for one in watch.all():
        photos = sum(entry.tracklet is None for entry in one.entries)
        lists.append(
            {
                "name": one.name,
                "purpose": one.purpose,
                "until": one.until,
                "ended": one.until <= now,
                "author": one.author,
                "people": len(one.entries) - photos,
                "photos": photos,
            }
        )
    return {"lists": lists, "rules": [rule.as_dict() for rule in watch.rules()]}


def _models(gallery: Gallery, config: Config | None) -> Iterator[dict[str, Any]]:
    """Networks that pictures of people go through, with what is known of where they come from."""
    from reidstream.models import resolve_model

    space = gallery.facts().space
    settings = config or Config()
    named = (("detector", settings.detector.model), ("reid", gallery.model or space.model))
    for task, name in named:
        known: dict[str, Any] = {"task": task, "name": name, "sha256": None, "why": ""}
        try:
            found = resolve_model(name, task)  # type: ignore[arg-type]
        except ModelError as error:
            known["why"] = redacted(str(error))
        else:
            spec = found.spec
            known |= {"name": spec.name, "sha256": found.sha256, "terms": spec.terms, "source": spec.source}
            known["training_data"] = spec.training_data
        if task == "reid":
            known["fingerprint"] = space.fingerprint
        yield known


def _kept(gallery: Gallery, config: Config | None) -> dict[str, Any]:
    """For how long what is kept. Days; None: for ever, or until somebody erases it."""
    rules = config.retention if config is not None and config.retention.is_set else None
    return {
        "visits": None if rules is None else said(rules),
        "clips_days": None if config is None else config.clips.days,
        "clips_kept": None if config is None else config.clips.keep,
        "alerts_days": None if config is None else config.alerts.days,
        "photos_days": PHOTO_DAYS,
        "log_days": LOG_SECONDS / _DAY,
        "jobs_days": KEPT_SECONDS / _DAY,
        "exports_hours": FILES_KEPT_SECONDS / 3600,
        "runs": [run.as_dict() for run in runs_of(gallery, _RUNS)],
    }


def _provider(config: Config | None) -> str | None:
    """Who learns when somebody signs in here: the OpenID provider, if there is one."""
    return redacted(config.oidc.issuer) if config is not None and config.oidc.is_set else None


def _targets(config: Config | None) -> list[dict[str, Any]] | None:
    """Whom a server tells; None when that is not known here."""
    if config is None:
        return None
    return [
        {
            "address": redacted(target.uri),
            "kinds": list(target.kinds),
            "format": target.format,
            "signed": target.secret is not None,
            "last_pictures": target.pictures,
        }
        for target in config.targets
    ]
