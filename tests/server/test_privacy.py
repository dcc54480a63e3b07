"""The record of what is processed: complete, for admins, and without a single secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reidstream.alerts.lists import rule_settings
from reidstream.cli.app import app as commands
from reidstream.config import ClipConfig, Config, RetentionConfig, SourceConfig, TargetConfig
from reidstream.config.oidc import OidcAccountConfig, OidcConfig
from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.models import resolve_model
from reidstream.retention import retain
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.desk import Desk
from reidstream.server.privacy import html_of, markdown_of, privacy_report
from tests.server.conftest import PASSWORD, Asking, Client

CONFIG = Config(
    sources=(
        SourceConfig(
            uri="rtsp://viewer:cam3ra-secret@10.0.0.5/one?token=t0ken-in-address",
            name="gate",
            ignore=(((0, 0), (0, 1), (1, 1)),),
            zones={"till": ((0, 0), (0, 1), (1, 0))},
        ),
    ),
    targets=(
        TargetConfig(uri="mqtt://house:br0ker-secret@10.0.0.6/shop", kinds=("AlertRaised",)),
        TargetConfig(uri="https://hook:h00k-secret@example.org/x", secret="env:SIGNING_SECRET"),
    ),
    oidc=OidcConfig(
        issuer="https://login.example.org/shop",
        client_id="shop",
        address="https://shop.example.org",
        accounts=(OidcAccountConfig(value="staff", role="viewer"),),
    ),
    retention=RetentionConfig(days=30, cameras={"a": 7}),
    clips=ClipConfig(keep=True, days=12),
)
SECRETS = ("cam3ra-secret", "t0ken-in-address", "br0ker-secret", "h00k-secret", "s1gning-secret", PASSWORD, "argon2")


@pytest.fixture
def desk(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("SIGNING_SECRET", "s1gning-secret")
    made = Desk(gallery, CONFIG)
    made.settle()
    yield made
    made.close()


@pytest.fixture
def filled(desk: Desk, owner: Asking) -> tuple[Desk, str]:
    """A gallery in which something of everything was done; and a token that must not be told."""
    lists = desk.watching.watch.lists
    lists.make("barred", "banned by a court | until May", desk.begun + 9e5, "grace")
    lists.add_person("barred", owner.people()[1]["best"], "grace")
    lists.add_rule(
        rule_settings({"name": "seen", "purpose": "call the guard", "who": "listed", "list": "barred", "risk": 0.2}),
        "grace",
    )
    accounts = Accounts(desk.gallery)
    account = accounts.add("grace", PASSWORD, Role.OPERATOR, ["a"])
    secret, _ = accounts.add_token(account.id, "the till", Role.VIEWER)
    owner.get(f"/people/{owner.people()[1]['id']}")
    owner.post("/search", {"tracklet": owner.people()[1]["best"]})
    owner.decide("label", person=owner.people()[2]["id"], name="Ben", notes="", seen_name="")
    erased = owner.post("/erasures", {"people": [owner.people()[3]["id"]]}, 202)
    desk.jobs.wait(erased["id"])
    retain(desk.gallery, RetentionConfig(days=30), "nightly", now=lambda: 0.0)
    return desk, secret


def test_it_says_what_is_processed(filled: tuple[Desk, str], owner: Asking) -> None:
    found = owner.get("/privacy/report")
    cameras = {camera["name"]: camera for camera in found["cameras"]}
    assert set(cameras) == {"a", "b", "gate"}
    assert cameras["a"]["visits"] == 3
    assert cameras["gate"]["from"] == ["rtsp://viewer:***@10.0.0.5/one?token=***"]
    assert (cameras["gate"]["ignored_regions"], cameras["gate"]["zones"]) == (1, ["till"])
    (barred,) = found["purposes"]["lists"]
    assert (barred["purpose"], barred["people"], barred["photos"]) == ("banned by a court | until May", 1, 0)
    assert found["purposes"]["rules"][0]["risk"] == 0.2
    models = {model["task"]: model for model in found["models"]}
    assert models["detector"]["sha256"] == resolve_model(CONFIG.detector.model, "detector").sha256
    assert models["detector"]["terms"]
    # Of a model that is not on this machine its name and space are known all the same.
    assert (models["reid"]["name"], models["reid"]["sha256"]) == ("made-up", None)
    assert models["reid"]["fingerprint"]
    assert (found["stored"]["visits"], found["stored"]["named_people"], found["stored"]["people"]) == (5, 1, 2)
    assert found["kept"]["visits"]["cameras"] == {"a": 7.0}
    assert (found["kept"]["clips_days"], found["kept"]["runs"][0]["who"]) == (12, "nightly")
    assert [target["address"] for target in found["recipients"]["targets"]] == [
        "mqtt://house:***@10.0.0.6/shop",
        "https://hook:***@example.org/x",
    ]
    assert found["recipients"]["provider"] == "https://login.example.org/shop"
    assert found["recipients"]["users"][0]["cameras"] == ["a"]
    assert found["recipients"]["tokens"][0]["name"] == "the till"
    actions = {entry["action"]: entry["times"] for entry in found["looked"]["actions"]}
    assert actions["looked at a person"] == 1
    assert any(action.startswith("searched") for action in actions)
    assert {"label", "erase"} <= {entry["kind"] for entry in found["looked"]["decisions"]}
    (erased,) = found["erasures"]["by_servers"]
    assert (erased["people"], erased["tracklets"], erased["proven"]) == (1, 1, True)
    names = {store["name"] for store in found["stores"]}
    assert "last pictures at MQTT brokers" in names
    assert any(store["beyond"] for store in found["stores"])


@pytest.mark.usefixtures("unproven")
def test_no_secret_and_nobody_s_name_is_in_it(filled: tuple[Desk, str], owner: Asking) -> None:
    _, token = filled
    for kind in ("json", "md", "html"):
        raw = owner.client.get(f"/api/v1/privacy/report?format={kind}")
        assert raw.status_code == 200
        for word in (*SECRETS, token, "Ben"):
            assert word not in raw.text, (kind, word)
        assert "gate" in raw.text
    assert owner.client.get("/api/v1/privacy/report?format=html").headers["content-disposition"].startswith("attach")


@pytest.mark.usefixtures("unproven")
def test_only_an_admin_of_all_cameras_gets_it(filled: tuple[Desk, str], user: Client) -> None:
    user(Role.OPERATOR).get("/privacy/report", 403)
    user(Role.ADMIN, ["a"]).get("/privacy/report", 403)
    assert user(Role.ADMIN).get("/privacy/report")["cameras"]


@pytest.mark.usefixtures("unproven")
def test_as_text_nothing_in_it_is_taken_for_a_mark(filled: tuple[Desk, str]) -> None:
    desk, _ = filled
    desk.watching.watch.lists.make("<b>x</b>", "<script>alert(1)</script>", desk.begun + 9e5, "grace")
    found = privacy_report(desk.gallery, CONFIG, desk.begun)
    page, text = html_of(found), markdown_of(found)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "banned by a court \\| until May" in text
    assert "\\<script\\>" in text
    # Both have the same parts, and each table as many columns in all its rows.
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert [f"<h2>{title}</h2>" in page for title in titles] == [True] * len(titles)
    for block in text.split("\n\n"):
        if block.startswith("|"):
            bars = {line.replace("\\|", "").count("|") for line in block.splitlines()}
            assert len(bars) == 1, block


def read_by_command(*words: str) -> Any:
    done = CliRunner().invoke(commands, ["privacy", "report", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_says_when_the_settings_are_not_known(gallery: Gallery, tmp_path: Path) -> None:
    place = str(gallery.place)
    found = json.loads(read_by_command("--gallery", place, "--json"))
    assert (found["settings_known"], found["recipients"]["targets"], found["kept"]["visits"]) == (False, None, None)
    assert "The settings are not known here" in read_by_command("--gallery", place)
    settings = tmp_path / "shop.toml"
    settings.write_text('[[targets]]\nuri = "mqtt://house:br0ker-secret@10.0.0.6/shop"\n[retention]\ndays = 9\n')
    for ending in ("html", "md", "json"):
        out = tmp_path / f"privacy.{ending}"
        read_by_command(str(out), "--gallery", place, "--config", str(settings))
        assert "mqtt://house" in out.read_text().replace("\\*", "*")
        assert "br0ker-secret" not in out.read_text()
    with pytest.raises(ConfigError, match=r"\.html, \.md or \.json"):
        read_by_command(str(tmp_path / "privacy.pdf"), "--gallery", place)
