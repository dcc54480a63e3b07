"""Who may do what: every route, every role, and what somebody with one camera sees of people of two."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import argon2
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from reidstream.errors import NotAuthenticated, TooManyAttempts
from reidstream.identities.outbox import events_after
from reidstream.server.access import accounts
from reidstream.server.access.accounts import SESSION_SECONDS, SETUP_SECONDS, Accounts
from reidstream.server.access.roles import Role
from reidstream.server.access.schema import preferences, users
from reidstream.server.app import create_app, entrances
from reidstream.server.desk import Desk
from reidstream.server.guard import OPEN, Trust
from tests.server.conftest import IDS, PASSWORD, Asking, Client

ORIGIN = {"Origin": "http://localhost"}


def browser(app: Any, **headers: str) -> TestClient:
    return TestClient(app, base_url="http://localhost", headers=headers, follow_redirects=False)


def logged_in(app: Any, desk: Desk, role: Role = Role.ADMIN, name: str = "grace") -> TestClient:
    Accounts(desk.gallery).add(name, PASSWORD, role)
    client = browser(app)
    done = client.post("/api/v1/login", json={"name": name, "password": PASSWORD}, headers=ORIGIN)
    assert done.status_code == 200, done.text
    return client


def routes() -> Iterator[tuple[str, str, Role | None]]:
    for entrance in entrances():
        yield entrance.method, entrance.path.replace("{", "").replace("}", ""), entrance.role


def test_nobody_unknown_comes_past_the_door(app: Any) -> None:
    client = browser(app, **ORIGIN)
    assert sum(1 for _ in routes()) > 50
    for method, path, _ in routes():
        if path not in OPEN:
            assert client.request(method, path).status_code == 401, path
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert client.get("/no/such/path").status_code == 401


def test_every_route_refuses_whoever_has_less_than_its_role(user: Client) -> None:
    people = {role: user(role) for role in Role}
    refused = 0
    for method, path, needed in routes():
        for role, somebody in people.items():
            if needed is not None and not role.may(needed):
                assert somebody.client.request(method, path).status_code == 403, (path, role)
                refused += 1
    assert refused > 30


def test_a_page_asks_a_browser_to_log_in(app: Any) -> None:
    answered = browser(app).get("/people/1", headers={"Accept": "text/html"})
    assert (answered.status_code, answered.headers["location"]) == (303, "/login")


def test_a_users_keys_are_theirs_on_each_page_and_go_with_them(app: Any, desk: Desk, owner: Asking) -> None:
    grace, ben = logged_in(app, desk), logged_in(app, desk, Role.REVIEWER, "ben")
    done = grace.put("/api/v1/keys", json={"page": "review", "keys": {"y": "1", "n": "<"}}, headers=ORIGIN)
    assert done.json()["keys"] == {"review": {"y": "1", "n": "<"}}
    grace.put("/api/v1/keys", json={"page": "person", "keys": {"c": "k"}}, headers=ORIGIN)
    assert set(grace.get("/api/v1/keys").json()["keys"]) == {"review", "person"}
    assert ben.get("/api/v1/keys").json()["keys"] == {}
    # In the page as text, whatever they are.
    assert "{&#34;y&#34;: &#34;1&#34;, &#34;n&#34;: &#34;&lt;&#34;}" in grace.get("/review").text
    assert 'data-keys="{}"' in ben.get("/review").text
    grace.put("/api/v1/keys", json={"page": "review", "keys": {}}, headers=ORIGIN)
    assert set(grace.get("/api/v1/keys").json()["keys"]) == {"person"}
    for wrong in ({"y": "1", "n": "1"}, {"y": "?"}, {"y": "12"}, {"y": " "}):
        assert ben.put("/api/v1/keys", json={"page": "review", "keys": wrong}, headers=ORIGIN).status_code == 422
    assert owner.client.put("/api/v1/keys", json={"page": "review", "keys": {}}).status_code == 422
    accounts = Accounts(desk.gallery)
    accounts.set_keys(next(u.id for u in accounts.users() if u.name == "ben"), "people", {"x": "k"})
    accounts.remove(next(u.id for u in accounts.users() if u.name == "ben"))
    with desk.gallery.read() as connection:
        kept = connection.execute(select(preferences.c.value)).scalars().all()
    assert kept == ['{"person": {"c": "k"}}']


# -- one camera


def test_somebody_with_one_camera_sees_nothing_of_the_other(user: Client, owner: Asking, desk: Desk) -> None:
    """Ann was seen by a and b; for b she begins with her visit there, and Cleo does not exist."""
    everybody = owner.people()
    limited = user(Role.OPERATOR, ["b"])
    people = limited.people()
    assert set(people) == {1, 2}
    assert people[1]["tracklets"] == [IDS[2]]
    assert (people[1]["first_seen"], people[1]["last_seen"], people[1]["cameras"]) == (10, 15, ["b"])
    cleo, hidden = everybody[3]["id"], [IDS[0], IDS[1], IDS[3], IDS[5]]
    for path in (f"/people/{cleo}", f"/people/{cleo}/alike", f"/people/{cleo}/tracklets", f"/tracklets/{IDS[0]}"):
        limited.get(path, 404)
    for tracklet in hidden:
        assert limited.client.get(f"/api/v1/tracklets/{tracklet}/crop").status_code == 404
        limited.post("/search", {"tracklet": tracklet}, 404)
    vector = desk.gallery.vectors([IDS[3]])[1][0].tolist()
    answers = [
        limited.get("/facts"),
        limited.get("/tracklets"),
        limited.get("/tracklets", camera="a"),
        limited.get(f"/people/{everybody[1]['id']}"),
        limited.get(f"/people/{everybody[1]['id']}/alike"),
        limited.get(f"/people/{everybody[1]['id']}/odd"),
        limited.get("/events", limit=500),
        limited.get("/operations"),
        limited.get("/names-of-cameras"),
        limited.get("/sources"),
        limited.post("/search", {"vector": vector, "k": 50}),
        limited.post("/search", {"vector": vector, "k": 50, "cameras": ["a"]}),
    ]
    text = json.dumps(answers)
    assert not [tracklet for tracklet in hidden if tracklet in text]
    assert cleo not in text
    assert '"a"' not in text
    assert limited.get(f"/people/{everybody[1]['id']}")["hidden_by_cameras"] is True


def test_somebody_with_one_camera_decides_only_about_people_who_were_seen_there_alone(
    user: Client, owner: Asking
) -> None:
    people = owner.people()
    limited = user(Role.REVIEWER, ["a"])
    seen = limited.seen(1, 3)
    limited.decide("merge", 403, people=[people[1]["id"], people[3]["id"]], seen=seen)
    limited.decide("label", 403, person=people[1]["id"], name="Ann")
    limited.decide("label", person=people[3]["id"], name="Cleo")
    owner.decide("label", person=people[1]["id"], name="Ann")
    limited.decide("undo", 403)
    limited.decide("undo", 403, operation=2)
    assert owner.people()[1]["name"] == "Ann"


def test_somebody_with_one_camera_exports_that_one_alone(user: Client, desk: Desk) -> None:
    limited = user(Role.OPERATOR, ["b"])
    limited.post("/exports", {"format": "json", "sources": ["a"]}, 403)
    made = limited.post("/exports", {"format": "json"}, 202)
    desk.jobs.wait(made["id"])
    text = limited.client.get(f"/api/v1/exports/{made['id']}/file").text
    assert IDS[2] in text
    assert IDS[0] not in text


def test_somebody_with_one_camera_manages_nothing_that_is_of_all(user: Client) -> None:
    limited = user(Role.ADMIN, ["a"])
    limited.post("/erasures", {"tracklets": [IDS[0]]}, 403)
    limited.post("/users", {"name": "x", "password": PASSWORD, "role": "admin"}, 403)
    limited.post("/resolve", status=403)
    limited.get("/log", 403)


def test_events_are_heard_by_those_who_see_their_camera(user: Client, desk: Desk) -> None:
    heard = {event["seq"] for event in user(Role.VIEWER, ["b"]).get("/events", limit=500)["events"]}
    for event in events_after(desk.gallery, 0):
        assert (event.seq in heard) == (event.payload.get("source") == "b")


# -- coming in


def test_the_first_user_is_made_with_a_link_that_works_once(app: Any, desk: Desk) -> None:
    accounts = Accounts(desk.gallery)
    secret = accounts.setup_secret()
    wanted = {"secret": secret, "name": "grace", "password": PASSWORD}
    client = browser(app, **ORIGIN)
    assert client.post("/api/v1/setup", json={**wanted, "secret": "guess"}).status_code == 401
    assert client.post("/api/v1/setup", json={**wanted, "password": "short"}).status_code == 422
    assert client.post("/api/v1/setup", json=wanted).json()["role"] == "admin"
    assert client.get("/api/v1/me").json()["name"] == "grace"
    assert client.post("/api/v1/setup", json=wanted).status_code == 401
    assert accounts.setup_secret() is None


def test_the_link_for_the_first_user_works_for_fifteen_minutes(desk: Desk) -> None:
    now = [1000.0]
    accounts = Accounts(desk.gallery, lambda: now[0])
    secret = accounts.setup_secret()
    assert secret is not None
    now[0] += SETUP_SECONDS + 1
    with pytest.raises(NotAuthenticated, match="15 minutes"):
        accounts.set_up(secret, "grace", PASSWORD, "here")


def test_a_session_ends_when_it_is_not_used_and_when_it_is_ended(desk: Desk) -> None:
    now = [1000.0]
    accounts = Accounts(desk.gallery, lambda: now[0])
    accounts.add("grace", PASSWORD, Role.VIEWER)
    first, _ = accounts.log_in("grace", PASSWORD, "here")
    second, _ = accounts.log_in("grace", PASSWORD, "there")
    assert accounts.caller_of_session(first, "here") is not None
    ended = next(session["id"] for session in accounts.sessions() if session["address"] == "there")
    assert accounts.end_session(ended) == 1
    assert accounts.caller_of_session(second, "there") is None
    now[0] += SESSION_SECONDS + 1
    assert accounts.caller_of_session(first, "here") is None
    text = json.dumps(accounts.sessions())
    assert first not in text


def test_guessing_passwords_becomes_slow(desk: Desk) -> None:
    now = [1000.0]
    accounts = Accounts(desk.gallery, lambda: now[0])
    accounts.add("grace", PASSWORD, Role.VIEWER)
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            accounts.log_in("grace", "wrong password", "1.2.3.4")
    with pytest.raises(TooManyAttempts) as refused:
        accounts.log_in("grace", PASSWORD, "1.2.3.4")
    now[0] += refused.value.seconds
    accounts.log_in("grace", PASSWORD, "1.2.3.4")


def test_a_changed_user_starts_anew_and_the_last_admin_stays(app: Any, desk: Desk) -> None:
    client = logged_in(app, desk)
    made = client.post(
        "/api/v1/users", json={"name": "ben", "password": PASSWORD, "role": "reviewer"}, headers=ORIGIN
    ).json()
    other = browser(app)
    other.post("/api/v1/login", json={"name": "ben", "password": PASSWORD}, headers=ORIGIN)
    assert other.get("/api/v1/me").json()["role"] == "reviewer"
    client.patch(f"/api/v1/users/{made['id']}", json={"role": "viewer"}, headers=ORIGIN)
    assert other.get("/api/v1/me").status_code == 401
    me = client.get("/api/v1/me").json()["user"]
    assert client.patch(f"/api/v1/users/{me}", json={"role": "viewer"}, headers=ORIGIN).status_code == 422
    assert client.delete(f"/api/v1/users/{me}", headers=ORIGIN).status_code == 422


def test_a_token_may_do_no_more_than_its_user(app: Any, desk: Desk) -> None:
    client = logged_in(app, desk, Role.REVIEWER)
    refused = client.post("/api/v1/tokens", json={"name": "t", "role": "admin"}, headers=ORIGIN)
    assert refused.status_code == 403
    made = client.post("/api/v1/tokens", json={"name": "t", "role": "viewer", "cameras": ["a"]}, headers=ORIGIN).json()
    program = browser(app, Authorization=f"Bearer {made['token']}")
    assert program.get("/api/v1/me").json()["cameras"] == ["a"]
    assert program.post("/api/v1/decisions", json={"kind": "undo"}).status_code == 403
    client.delete(f"/api/v1/tokens/{made['id']}", headers=ORIGIN)
    assert program.get("/api/v1/me").status_code == 401
    assert made["token"] not in json.dumps(client.get("/api/v1/tokens").json())


# -- the browser


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_what_changes_something_comes_from_our_own_pages(
    app: Any, desk: Desk, headers: dict[str, str], status: int
) -> None:
    client = logged_in(app, desk)
    person = client.get("/api/v1/people").json()["people"][0]["id"]
    assert client.put(f"/api/v1/people/{person}/hidden", headers=headers).status_code == status


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "shop", ""])
def test_a_name_that_was_bound_to_this_address_is_refused(app: Any, host: str) -> None:
    assert browser(app).get("/healthz", headers={"Host": host}).status_code == 403


def test_a_name_that_was_allowed_is_answered(desk: Desk) -> None:
    app = create_app(desk, trust=Trust(hosts=["shop"]))
    assert browser(app).get("/healthz", headers={"Host": "shop:8400"}).status_code == 200


def test_the_cookie_is_for_the_browser_alone(app: Any, desk: Desk) -> None:
    Accounts(desk.gallery).add("grace", PASSWORD, Role.VIEWER)
    sent = {"name": "grace", "password": PASSWORD}
    plain = browser(app).post("/api/v1/login", json=sent, headers=ORIGIN).headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=lax" in plain
    assert "secure" not in plain
    secure = TestClient(app, base_url="https://localhost")
    cookie = secure.post("/api/v1/login", json=sent, headers={"Origin": "https://localhost"}).headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "secure" in cookie.lower()
    assert "path=/" in cookie.lower()
    assert "domain" not in cookie.lower()


def test_every_answer_forbids_what_pages_do_not_need(app: Any, owner: Asking) -> None:
    for path in ("/", "/login", "/api/v1/people", "/api/v1/nothing", "/static/style.css"):
        headers = owner.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        if not path.startswith("/static"):
            assert headers["cache-control"] == "no-store"


def test_a_proxy_is_believed_only_when_it_is_trusted(desk: Desk) -> None:
    Accounts(desk.gallery).add("grace", PASSWORD, Role.VIEWER)
    sent = {"X-Forwarded-For": "9.9.9.9", "X-User": "grace", "X-Forwarded-Proto": "https"}
    for proxies, status in ((["10.0.0.0/8"], 200), (["192.168.0.1"], 401)):
        app = create_app(desk, trust=Trust(proxies=proxies, user_header="X-User"))
        client = TestClient(app, base_url="http://localhost", client=("10.1.2.3", 5))
        answered = client.get("/api/v1/me", headers=sent)
        assert answered.status_code == status
        assert ("strict-transport-security" in answered.headers) == (status == 200)


def test_nobody_comes_in_by_claiming_to_be_at_the_socket(app: Any) -> None:
    client = TestClient(app, base_url="http://localhost", client=("1.2.3.4", 1))
    claims = {"X-Forwarded-For": "uid:0", "Forwarded": "for=uid:0"}
    assert client.get("/api/v1/me", headers=claims).status_code == 401


def test_what_is_too_large_or_no_picture_is_refused(owner: Asking) -> None:
    kinds = {"Content-Type": "image/jpeg"}
    bad = owner.client.post("/api/v1/photos/people", content=b"no picture", headers=kinds)
    assert bad.status_code == 422
    assert "not a picture" in bad.json()["detail"]
    assert (
        owner.client.post("/api/v1/photos/people", content=b"x", headers={"Content-Type": "text/html"}).status_code
        == 422
    )
    huge = owner.client.post("/api/v1/photos/people", content=bytes(25 * 2**20), headers=kinds)
    assert huge.status_code == 422
    huger = owner.client.post(
        "/api/v1/decisions", content=bytes(65 * 2**20), headers={"Content-Type": "application/json"}
    )
    assert huger.status_code == 413


def test_a_picture_of_too_many_pixels_is_never_unpacked(owner: Asking) -> None:
    """A PNG of a few kilobytes whose header speaks of 60,000 × 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    answered = owner.client.post("/api/v1/photos/people", content=bomb, headers={"Content-Type": "image/png"})
    assert answered.status_code == 422


def test_passwords_of_sources_are_never_given_out(owner: Asking, app: Any, desk: Desk) -> None:
    from reidstream.config import SourceConfig

    cameras = app._app.state.cameras
    cameras._closing = True
    cameras.add(SourceConfig(uri="rtsp://joe:hunter2@camera/stream", name="gate"))
    assert "hunter2" not in json.dumps(owner.get("/sources"))
    assert "hunter2" not in json.dumps(owner.get("/log"))


def test_passwords_cost_what_is_recommended_and_a_name_that_is_not_there_costs_as_much(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9106's second recommended option; otherwise the time of an answer says who has an account."""
    monkeypatch.setattr(accounts, "PasswordHasher", argon2.PasswordHasher)
    Accounts(desk.gallery).add("grace", PASSWORD, Role.VIEWER)
    with desk.gallery.read() as connection:
        kept = argon2.extract_parameters(connection.execute(select(users.c.password)).scalar_one())
    assert (kept.type, kept.memory_cost, kept.time_cost, kept.parallelism) == (argon2.Type.ID, 2**16, 3, 4)
    assert argon2.extract_parameters(accounts._NOBODY) == kept
