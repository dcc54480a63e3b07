"""Signing in through an OpenID provider: who comes in as what, and who does not, whatever is sent."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select
from starlette.testclient import TestClient

from reidstream.config import Config
from reidstream.config.oidc import OidcAccountConfig, OidcConfig
from reidstream.config.tree import checked_config
from reidstream.errors import ConfigError, NotAuthenticated, ProviderError
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.access.schema import looks, provided, users
from reidstream.server.app import create_app
from reidstream.server.desk import Desk
from reidstream.server.guard import Trust
from reidstream.server.openid import provider as provider_module
from reidstream.server.openid import signing_in
from reidstream.server.openid.provider import Provider as Asked
from reidstream.server.openid.provider import claim
from reidstream.server.openid.signing_in import Known, SigningIn, known_by
from reidstream.server.openid.tokens import public_keys
from tests.server.conftest import PASSWORD
from tests.server.openid_provider import CLIENT, SECRET, Provider, Reply, new_key, said, url64

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    with Provider() as running:
        yield running


def settings(provider: Provider, **more: Any) -> OidcConfig:
    accounts = (
        OidcAccountConfig(value="bosses", role="admin"),
        OidcAccountConfig(value="staff", role="reviewer", cameras=("a",)),
    )
    own: dict[str, Any] = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret": "env:OIDC_SECRET"}
    return OidcConfig(**{**own, "address": "http://localhost", "name": "Work", "accounts": accounts, **more})


@pytest.fixture
def oidc(provider: Provider) -> OidcConfig:
    return settings(provider)


@pytest.fixture
def served(desk: Desk, oidc: OidcConfig) -> Any:
    return serving(desk, oidc)


def serving(desk: Desk, oidc: OidcConfig, **how: Any) -> Any:
    """The application of a server with these settings, over the same gallery."""
    desk.config = Config(oidc=oidc)
    return create_app(desk, **how)


def browser(app: Any) -> TestClient:
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


def sent_back(client: TestClient) -> str:
    """Begin, and let the provider send the browser back: the address with the code."""
    away = client.get("/oidc/begin")
    assert away.status_code == 303, away.text
    return str(httpx.get(away.headers["location"]).headers["location"])


def signed_in(app: Any, client: TestClient | None = None) -> Any:
    client = client or browser(app)
    answered = client.get(sent_back(client))
    return client, answered


async def _known(signing: SigningIn) -> Known:
    away = await signing.begin("browser", "here")
    back = httpx.URL(httpx.get(away).headers["location"])
    return await signing.end(back.params, "browser")


def known_through(oidc: OidcConfig, signing: SigningIn | None = None) -> Known:
    """Who signs in, without a server around it."""
    return anyio.run(_known, signing or SigningIn(Asked(oidc)))


def refused(answered: Any, words: str, status: int = 401) -> None:
    """It says why on the page to come in by, and there is no session."""
    assert answered.status_code == status, answered.text
    assert words in answered.text, answered.text
    assert "Sign in with Work" in answered.text
    assert not [
        name for name in answered.headers.get_list("set-cookie") if not name.partition("=")[0].endswith("-oidc")
    ]


# -- coming in


@pytest.mark.setting("oidc.issuer", "oidc.client_id", "oidc.client_secret", "oidc.address", "oidc.name", "oidc.scopes")
@pytest.mark.setting("oidc.claim", "oidc.accounts.value", "oidc.accounts.role", "oidc.accounts.cameras")
def test_somebody_comes_in_with_the_role_and_cameras_that_their_group_stands_for(
    served: Any, provider: Provider, desk: Desk
) -> None:
    client = browser(served)
    away = httpx.URL(client.get("/oidc/begin").headers["location"])
    asked = dict(away.params)
    assert str(away).startswith(f"{provider.issuer}/authorize?")
    assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, "http://localhost/oidc/return")
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"] == "openid profile"
    _, answered = signed_in(served, client)
    assert (answered.status_code, answered.headers["location"]) == (303, "/")
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["role"], me["cameras"], me["password"]) == ("Ann (Work)", "reviewer", ["a"], False)
    cookie = next(line.lower() for line in answered.headers.get_list("set-cookie") if "-oidc" not in line)
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    with desk.gallery.read() as connection:
        logged = connection.execute(select(looks.c.who, looks.c.action, looks.c.detail)).all()
    assert logged[-1] == ("Ann (Work)", "logged in", "by OpenID")
    # Nothing that the provider gave is kept, but who they are there.
    with desk.gallery.read() as connection:
        row = connection.execute(select(provided)).one()
        assert connection.execute(select(users.c.password)).scalar_one() == ""
    assert (row.issuer, row.subject) == (provider.issuer, "42")


def test_what_somebody_may_do_is_what_the_provider_says_now(served: Any, provider: Provider, desk: Desk) -> None:
    client, _ = signed_in(served)
    token = client.post("/api/v1/tokens", json={"name": "t"}, headers=ORIGIN).json()["token"]
    program = TestClient(served, base_url="http://localhost", headers={"Authorization": f"Bearer {token}"})
    provider.person["groups"] = ["bosses", "staff"]
    again, _ = signed_in(served)
    assert client.get("/api/v1/me").json()["role"] == again.get("/api/v1/me").json()["role"] == "admin"
    assert program.get("/api/v1/me").json()["role"] == "viewer"
    # Out of every group: refused, and what was open until then is closed.
    provider.person["groups"] = ["others"]
    _, answered = signed_in(served)
    refused(answered, "nothing that you may do here", 403)
    assert client.get("/api/v1/me").status_code == again.get("/api/v1/me").status_code == 401
    assert program.get("/api/v1/me").status_code == 401


def test_whoever_has_no_group_that_stands_for_something_gets_nothing(
    served: Any, provider: Provider, oidc: OidcConfig, desk: Desk
) -> None:
    for groups in (None, [], "", 7, {"staff": True}, [["staff"]], "staff bosses", ["Staff"], ["staff "]):
        assert known_by(oidc, {"sub": "42", "groups": groups}).role is None
    del provider.person["groups"]
    client, answered = signed_in(served)
    refused(answered, "nothing that you may do here", 403)
    assert client.get("/api/v1/me").status_code == 401
    assert Accounts(desk.gallery).users() == []


def test_groups_may_stand_deeper_or_come_from_where_the_provider_tells_of_people(
    provider: Provider, desk: Desk
) -> None:
    deep = {"realm_access": {"roles": ["staff"]}, "https://shop.example/roles": "staff"}
    assert claim(deep, "realm_access.roles") == ["staff"]
    assert claim(deep, "https://shop.example/roles") == "staff"
    assert claim(deep, "realm_access.roles.first") is None
    provider.person = {"sub": "42", **deep}
    provider.in_token = lambda name: name == "sub"
    client, _ = signed_in(serving(desk, settings(provider, claim="realm_access.roles")))
    assert client.get("/api/v1/me").json()["role"] == "reviewer"
    # What is told of somebody else is not believed.
    provider.replies["/userinfo"] = lambda: said({"sub": "43", **deep})
    _, answered = signed_in(serving(desk, settings(provider, claim="realm_access.roles")))
    refused(answered, "nothing that you may do here", 403)


def test_accounts_are_told_apart_by_issuer_and_subject_and_never_joined_by_a_name(
    served: Any, provider: Provider, desk: Desk
) -> None:
    Accounts(desk.gallery).add("Ann (Work)", PASSWORD, Role.ADMIN)
    provider.person |= {"email": "ann@shop.example", "email_verified": True}
    first, _ = signed_in(served)
    provider.person["sub"] = "43"
    second, _ = signed_in(served)
    names = {one.get("/api/v1/me").json()["name"] for one in (first, second)}
    assert len(names) == 2
    assert all(name.startswith("Ann (Work) ") for name in names)
    assert len(Accounts(desk.gallery).users()) == 3
    # The same subject at another provider is somebody else.
    with Provider() as other:
        app = serving(desk, settings(other))
        third, _ = signed_in(app)
        assert third.get("/api/v1/me").json()["name"] not in {*names, "Ann (Work)"}
        # And those of a provider that is not asked any more are out.
        moved = browser(app)
        moved.cookies.update(first.cookies)
        assert moved.get("/api/v1/me").status_code == 401


def test_nobody_logs_in_to_a_providers_account_by_a_password_or_a_proxys_word(served: Any, desk: Desk) -> None:
    client, _ = signed_in(served)
    name = client.get("/api/v1/me").json()["name"]
    accounts = Accounts(desk.gallery)
    for password in ("", " ", PASSWORD):
        with pytest.raises(NotAuthenticated):
            accounts.log_in(name, password, "here")
    (user,) = accounts.users()
    with pytest.raises(ConfigError, match="signs in through"):
        accounts.change(user.id, password=PASSWORD)
    with pytest.raises(ConfigError, match="signs in through"):
        accounts.change(user.id, role=Role.ADMIN)
    app = create_app(desk, trust=Trust(proxies=["10.0.0.1"], user_header="X-User"))
    proxied = TestClient(app, base_url="http://localhost", client=("10.0.0.1", 5), headers={"X-User": name})
    assert proxied.get("/api/v1/me").status_code == 401
    answered = client.post("/api/v1/me/password", json={"old": "x", "new": PASSWORD}, headers=ORIGIN)
    assert answered.status_code == 403


@pytest.mark.setting("oidc.session_hours", "oidc.token_days")
def test_sessions_and_tokens_end_without_signing_in_again(provider: Provider, desk: Desk) -> None:
    now = [1000.0]
    accounts = Accounts(desk.gallery, lambda: now[0], settings(provider, session_hours=2, token_days=1))
    secret, user = accounts.sign_in(Known(provider.issuer, "42", "Ann", Role.VIEWER), "here")
    token, _ = accounts.add_token(user.id, "program", Role.VIEWER)
    session = accounts.caller_of_session(secret, "here")
    assert session is not None
    assert session.session is not None
    for _ in range(3):
        now[0] += 3000
        # Using it does not make it last.
        open_still = accounts.caller_of_session(secret, "here") is not None
        assert open_still == accounts.holds(session.session) == (now[0] - 1000 <= 7200)
    assert accounts.caller_of_token(token, "here") is not None
    now[0] += 86400
    assert accounts.caller_of_token(token, "here") is None
    accounts.sign_in(Known(provider.issuer, "42", "Ann", Role.VIEWER), "here")
    assert accounts.caller_of_token(token, "here") is not None


@pytest.mark.setting("oidc.local_login")
def test_passwords_are_taken_until_an_admin_has_come_in_by_the_provider(provider: Provider, desk: Desk) -> None:
    app = serving(desk, settings(provider, local_login=False))
    Accounts(desk.gallery).add("grace", PASSWORD, Role.ADMIN)
    sent = {"name": "grace", "password": PASSWORD}
    grace = browser(app)
    assert grace.post("/api/v1/login", json=sent, headers=ORIGIN).status_code == 200
    signed_in(app)
    assert 'type="password"' in browser(app).get("/login").text
    provider.person |= {"sub": "1", "groups": ["bosses"]}
    admin, _ = signed_in(app)
    answered = browser(app).post("/api/v1/login", json=sent, headers=ORIGIN)
    assert (answered.status_code, "sign in with Work" in answered.json()["detail"]) == (403, True)
    assert grace.get("/api/v1/me").status_code == 401
    assert 'type="password"' not in browser(app).get("/login").text
    assert admin.get("/api/v1/me").status_code == 200
    # The last admin is one who can come in.
    me = admin.get("/api/v1/me").json()["user"]
    assert admin.delete(f"/api/v1/users/{me}", headers=ORIGIN).status_code == 200
    assert browser(app).post("/api/v1/login", json=sent, headers=ORIGIN).status_code == 200


def test_logging_out_ends_the_session_here_and_says_where_to_end_the_providers(
    served: Any, provider: Provider, desk: Desk
) -> None:
    client, _ = signed_in(served)
    left = client.post("/api/v1/logout", headers=ORIGIN)
    assert left.json()["elsewhere"].startswith(f"{provider.issuer}/leave?client_id=shop&post_logout_redirect_uri=http")
    assert client.get("/api/v1/me").status_code == 401
    Accounts(desk.gallery).add("grace", PASSWORD, Role.VIEWER)
    grace = browser(served)
    grace.post("/api/v1/login", json={"name": "grace", "password": PASSWORD}, headers=ORIGIN)
    assert grace.post("/api/v1/logout", headers=ORIGIN).json()["elsewhere"] is None


def test_a_browser_that_came_by_another_name_begins_under_the_one_it_comes_back_to(
    desk: Desk, oidc: OidcConfig
) -> None:
    client = TestClient(serving(desk, oidc), base_url="http://127.0.0.1", follow_redirects=False)
    assert client.get("/oidc/begin").headers["location"] == "http://localhost/oidc/begin?moved=1"
    assert client.get("/oidc/begin?moved=1").headers["location"].startswith(oidc.issuer)


# -- what must not work


def test_an_answer_is_taken_once_from_the_browser_that_began_and_for_ten_minutes(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(served)
    back = sent_back(client)
    # Another browser that was sent here with somebody's answer would be signed in as them, or they as it.
    refused(browser(served).get(back), "not begun in this browser")
    kept = dict(client.cookies)
    assert client.get(back).status_code == 303
    # Also with what the browser kept for it: the answer is not passed on a second time.
    client.cookies.update(kept)
    refused(client.get(back), "not begun in this browser")
    refused(client.get("/oidc/return?code=x&state=y"), "not begun in this browser")
    refused(client.get("/oidc/return"), "not begun in this browser")
    late = sent_back(client)
    monkeypatch.setattr(signing_in, "SECONDS", -1.0)
    refused(client.get(late), "ten minutes")


def test_two_tabs_of_one_browser_may_begin(served: Any) -> None:
    client = browser(served)
    first, second = sent_back(client), sent_back(client)
    assert client.get(second).status_code == 303
    # The cookie of the sign-in has gone with the first that ended.
    refused(client.get(first), "not begun in this browser")


def test_a_code_that_was_given_to_somebody_else_is_refused(served: Any, provider: Provider) -> None:
    client, other = browser(served), browser(served)
    mine, theirs = (httpx.URL(sent_back(one)) for one in (client, other))
    # Their code with my state: the provider knows by the verifier that it was not I who asked.
    mixed = mine.copy_set_param("code", theirs.params["code"])
    refused(client.get(str(mixed)), "does not take the code that it sent (invalid_grant)")


def test_a_refusal_is_passed_on_in_words(served: Any) -> None:
    client = browser(served)
    state = httpx.URL(sent_back(client)).params["state"]
    sent = {"state": state, "error": "access_denied", "error_description": "<b>not today</b>\x1b[31m"}
    answered = client.get("/oidc/return", params=sent)
    refused(answered, "Work did not let you in: &lt;b&gt;not today&lt;/b&gt;\\x1b[31m", 403)


def unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(one).encode() for one in ({"alg": "none"}, claims)]
    return ".".join([*map(url64, parts), ""])


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"nonce": "another"}, "answers another sign-in"),
    "no nonce": ({"nonce": None}, "answers another sign-in"),
    "issuer": ({"iss": "https://evil.example"}, "another issuer"),
    "audience": ({"aud": "another"}, "another client"),
    "audiences": ({"aud": [CLIENT, "another"]}, "another client"),
    "party": ({"azp": "another"}, "another client"),
    "expired": ({"exp": 1_000_000}, "run out"),
    "never ends": ({"exp": None}, "run out"),
    "from the future": ({"iat": 9_999_999_999}, "run out"),
    "not yet": ({"nbf": 9_999_999_999}, "run out"),
    "nobody": ({"sub": ""}, "who it is about"),
    "no name": ({"sub": 42}, "who it is about"),
    "long": ({"sub": "x" * 256}, "who it is about"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_says_something_wrong_is_refused(provider: Provider, oidc: OidcConfig, lie: str) -> None:
    wrong, words = LIES[lie]
    provider.changed = lambda claims: {**claims, **wrong}
    with pytest.raises(NotAuthenticated, match=words):
        known_through(oidc)


def test_a_refusal_leaves_no_account_and_is_in_the_log(served: Any, provider: Provider, desk: Desk) -> None:
    provider.changed = lambda claims: {**claims, "nonce": "another"}
    _, answered = signed_in(served)
    refused(answered, "answers another sign-in")
    assert Accounts(desk.gallery).users() == []
    with desk.gallery.read() as connection:
        assert connection.execute(select(looks.c.action).order_by(looks.c.id.desc())).scalar() == "failed to log in"


def test_a_token_for_several_is_taken_when_it_says_that_it_was_made_for_us(
    provider: Provider, oidc: OidcConfig
) -> None:
    provider.changed = lambda claims: {**claims, "aud": [CLIENT, "another"], "azp": CLIENT}
    assert known_through(oidc).subject == "42"


@pytest.mark.parametrize(
    "signing", ["none", "secret", "public key as secret", "another key", "named another", "no token"]
)
def test_a_token_that_the_provider_did_not_sign_is_refused(provider: Provider, oidc: OidcConfig, signing: str) -> None:
    key = provider.keys[0]
    thief = new_key("first")
    public = OctKey.import_key(json.dumps(key.as_dict(private=False)))
    made = {
        "none": unsigned,
        "secret": lambda claims: jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET * 2)),
        "public key as secret": lambda claims: jwt.encode({"alg": "HS256", "kid": "first"}, claims, public),
        "another key": lambda claims: jwt.encode({"alg": "ES256", "kid": "first"}, claims, thief),
        "named another": lambda claims: jwt.encode({"alg": "ES256", "kid": "theirs"}, claims, thief),
        "no token": lambda claims: "e30.e30",
    }
    provider.signed = made[signing]
    with pytest.raises(NotAuthenticated, match=r"key of its own|none of its keys|no token that can be read"):
        known_through(oidc)


def test_a_key_that_is_no_secret_of_the_providers_is_never_used(provider: Provider) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, private=False).as_dict(private=False)
    listed = [
        OctKey.import_key("known to all" * 4).as_dict(private=True),
        weak,
        {**new_key("enc").as_dict(private=False), "use": "enc"},
        {"kty": "EC", "crv": "P-256", "x": "nonsense"},
        "no key",
        new_key("good").as_dict(private=False),
    ]
    assert [key.kid for key in public_keys({"keys": listed})] == ["good"]
    assert public_keys({"keys": "none"}) == public_keys({}) == []


def test_a_new_key_is_asked_for_when_a_token_names_it_but_not_at_any_rate(provider: Provider, oidc: OidcConfig) -> None:
    now = [1000.0]
    signing = SigningIn(Asked(oidc, clock=lambda: now[0]))
    first = provider.keys[0]
    known_through(oidc, signing)
    provider.keys = [new_key("second")]
    # Whoever sends tokens with made-up names must not make us ask each time.
    with pytest.raises(NotAuthenticated, match="none of its keys"):
        known_through(oidc, signing)
    now[0] += provider_module.AGAIN_SECONDS
    assert known_through(oidc, signing).subject == "42"
    assert provider.asked.count("/keys") == 2
    # The old one is not believed any more.
    provider.signed = lambda claims: jwt.encode({"alg": "ES256", "kid": "first"}, claims, first)
    with pytest.raises(NotAuthenticated, match="none of its keys"):
        known_through(oidc, signing)
    # What the provider says of itself, and its keys, are not believed for ever.
    provider.signed = None
    now[0] += provider_module.KEPT_SECONDS
    known_through(oidc, signing)
    assert (provider.asked.count("/keys"), provider.asked.count(WELL_KNOWN)) == (3, 2)


@pytest.mark.parametrize("key", [RSAKey.generate_key(2048, {"kid": "rsa"}), None], ids=["RS256", "without a name"])
def test_usual_signatures_are_taken(provider: Provider, oidc: OidcConfig, key: RSAKey | None) -> None:
    if key is not None:
        provider.keys = [key]
        provider.signed = lambda claims: jwt.encode({"alg": "RS256", "kid": "rsa"}, claims, key)
    else:
        provider.signed = lambda claims: jwt.encode({"alg": "ES256"}, claims, provider.keys[0])
    assert known_through(oidc).subject == "42"


WELL_KNOWN = "/.well-known/openid-configuration"


def hanging(gone: threading.Event) -> Reply:
    gone.wait(20)
    return said({})


@pytest.mark.parametrize(
    ("path", "reply", "words"),
    [
        (WELL_KNOWN, lambda: said({"error": "down"}, 503), "answers 503"),
        (WELL_KNOWN, lambda: (200, {}, b"<html>"), "no JSON object"),
        (WELL_KNOWN, lambda: (200, {}, b"[" * 100_000), "no JSON object"),
        (WELL_KNOWN, lambda: (200, {}, b'"' + b"x" * 300_000 + b'"'), "more than 262144 bytes"),
        (WELL_KNOWN, lambda: (200, {"content-encoding": "gzip"}, b"x"), "compressed"),
        (WELL_KNOWN, lambda: (302, {"location": "http://169.254.169.254/latest"}, b""), "redirects elsewhere"),
        ("/keys", lambda: (302, {"location": "http://10.0.0.1/keys"}, b""), "redirects elsewhere"),
        ("/keys", lambda: said({"keys": []}), "none of its keys"),
        ("/token", lambda: (307, {"location": "http://10.0.0.1/token"}, b""), "redirects elsewhere"),
        ("/token", lambda: said({"access_token": "x"}), "does not take the code"),
    ],
)
def test_a_provider_that_answers_badly_is_described_and_nobody_comes_in(
    provider: Provider, oidc: OidcConfig, path: str, reply: Any, words: str
) -> None:
    provider.replies[path] = reply
    with pytest.raises((ProviderError, NotAuthenticated), match=words):
        known_through(oidc)


@pytest.mark.parametrize("path", [WELL_KNOWN, "/token"])
def test_a_provider_that_hangs_is_not_waited_for(oidc: OidcConfig, provider: Provider, path: str) -> None:
    gone = threading.Event()
    provider.replies[path] = lambda: hanging(gone)
    with pytest.raises(ProviderError, match=r"does not answer within 0\.2 s"):
        known_through(oidc, SigningIn(Asked(oidc, seconds=0.2)))
    gone.set()


def test_a_provider_that_is_away_is_said_to_be_and_is_asked_again_later(
    served: Any, provider: Provider, desk: Desk
) -> None:
    provider.server.server_close()
    client = browser(served)
    for _ in range(2):
        refused(client.get("/oidc/begin"), "cannot be asked", 503)
    assert provider.asked == []


@pytest.mark.setting("oidc.hosts")
@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("issuer", "https://evil.example", "calls itself https://evil.example"),
        ("token_endpoint", "http://169.254.169.254/token", "no https:// address"),
        ("token_endpoint", "https://10.0.0.1/token", "name it in oidc.hosts"),
        ("jwks_uri", "https://keys.example/jwks", "name it in oidc.hosts"),
        ("jwks_uri", "file:///etc/passwd", "no https:// address"),
        ("authorization_endpoint", "javascript:alert(1)", "no https:// address"),
        ("authorization_endpoint", None, "no https:// address"),
        ("userinfo_endpoint", "https://me:pw@127.0.0.1/x", "no https:// address"),
        ("end_session_endpoint", ["https://x"], "no https:// address"),
        ("token_endpoint", "https://[half", "no https:// address"),
    ],
)
def test_a_provider_may_not_send_us_or_browsers_where_the_settings_do_not_name(
    provider: Provider, oidc: OidcConfig, key: str, value: Any, words: str
) -> None:
    provider.metadata[key] = value
    with pytest.raises(ProviderError, match=words):
        anyio.run(Asked(oidc).endpoints)
    if words.startswith("name it"):
        named = settings(provider, hosts=("10.0.0.1", "keys.example"))
        assert anyio.run(Asked(named).endpoints).authorize


def test_an_answer_that_names_another_provider_is_refused(served: Any, provider: Provider, desk: Desk) -> None:
    client = browser(served)
    refused(client.get(f"{sent_back(client)}&iss=https://evil.example"), "another provider")
    provider.metadata["authorization_response_iss_parameter_supported"] = True
    client = browser(serving(desk, settings(provider)))
    refused(client.get(sent_back(client)), "another provider")
    assert client.get(str(httpx.URL(sent_back(client)).copy_add_param("iss", provider.issuer))).status_code == 303


def test_guessing_is_slowed_down_for_whoever_guesses(served: Any) -> None:
    client = browser(served)
    for _ in range(5):
        refused(client.get("/oidc/return?code=x&state=y"), "not begun in this browser")
    refused(client.get("/oidc/return?code=x&state=y"), "too many wrong attempts", 429)
    refused(client.get("/oidc/begin"), "too many wrong attempts", 429)
    elsewhere = TestClient(served, base_url="http://localhost", client=("9.9.9.9", 1), follow_redirects=False)
    _, answered = signed_in(served, elsewhere)
    assert answered.status_code == 303


async def _begun(signing: SigningIn, browser: str, times: int, addresses: int) -> list[str]:
    return [httpx.URL(await signing.begin(browser, str(number % addresses))).params["state"] for number in range(times)]


def test_what_was_begun_takes_no_more_room_than_it_may(provider: Provider, oidc: OidcConfig) -> None:
    signing = SigningIn(Asked(oidc))
    states = anyio.run(_begun, signing, "browser", 1500, 300)
    assert len(signing._begun) == 1000
    assert signing._taken(states[-1], "browser").verifier
    signing = SigningIn(Asked(oidc))
    of_one = anyio.run(_begun, signing, "browser", 30, 1)
    assert len(signing._begun) == 20
    with pytest.raises(NotAuthenticated):
        signing._taken(of_one[0], "browser")


def test_no_more_is_asked_of_a_provider_at_once_than_it_may(
    provider: Provider, oidc: OidcConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "AT_ONCE", 0)
    with pytest.raises(ProviderError, match="try again in a moment"):
        anyio.run(Asked(oidc).endpoints)


# -- settings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"issuer": "http://login.example"}, "must be an https:// address"),
        ({"issuer": "https://me@login.example"}, "must be an https:// address"),
        ({"address": "http://shop.example"}, "must be an https:// address"),
        ({"client_secret": "s3cret"}, "env:NAME or file:PATH"),
        ({"accounts": ()}, "accounts must be set"),
        ({"client_id": "", "address": ""}, "client_id and address must be set"),
        ({"issuer": "", "local_login": False}, "nobody could come in"),
    ],
)
def test_settings_that_cannot_be_are_refused(provider: Provider, wrong: dict[str, Any], words: str) -> None:
    data = {**settings(provider).model_dump(), **wrong}
    with pytest.raises(ConfigError, match=words) as found:
        checked_config({"oidc": data}, "a test")
    assert "'s3cret'" not in str(found.value)


@pytest.mark.setting("oidc.ca", "oidc.client_secret")
def test_a_secret_or_authority_that_is_not_there_is_said_when_the_server_starts(
    provider: Provider, desk: Desk, tmp_path: Path
) -> None:
    for wrong in ({"ca": str(tmp_path / "none.pem")}, {"client_secret": "env:NOT_SET"}):
        with pytest.raises(ConfigError):
            serving(desk, settings(provider, **wrong))


def test_the_first_group_that_fits_counts(oidc: OidcConfig) -> None:
    both = {"sub": "42", "groups": ["staff", "bosses"]}
    assert known_by(oidc, both).role is Role.ADMIN
    turned = oidc.model_copy(update={"accounts": oidc.accounts[::-1]})
    assert known_by(turned, both).cameras == {"a"}


def test_without_a_provider_its_ways_in_lead_nowhere(app: Any) -> None:
    for path in ("/oidc/begin", "/oidc/return?code=x&state=y"):
        answered = browser(app).get(path)
        assert answered.status_code == 403
        assert "no OpenID provider is set" in answered.text
        assert "Sign in with" not in answered.text


def test_a_public_client_sends_no_secret(provider: Provider, oidc: OidcConfig) -> None:
    public = Asked(oidc.model_copy(update={"client_secret": None}))
    with pytest.raises(NotAuthenticated, match="invalid_client"):
        anyio.run(public.claims, "code", "verifier", "nonce")
