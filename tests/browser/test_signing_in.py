"""Signing in through an OpenID provider, in a real browser: ours on one side, an independent provider on the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.conftest import Visitor, fits_and_has_no_barriers
from tests.server.conftest import VISITS
from tests.server.process import Served, free_port, made_gallery

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def provider() -> Iterator[str]:
    """A provider in a process of its own, with two people; its issuer."""
    pytest.importorskip("oidc_provider_mock", reason="needs oidc-provider-mock (.ci/browser installs it)")
    port = free_port()
    people = (
        {"sub": "ann-1", "preferred_username": "ann", "groups": ["staff"]},
        {"sub": "eve-2", "preferred_username": "eve", "groups": ["visitors"]},
    )
    words = [word for one in people for word in ("--user-claims", json.dumps(one))]
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "oidc_provider_mock",
        "--port",
        str(port),
        "--require-nonce",
        "true",
    ]
    child = subprocess.Popen(
        [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"}
    )
    issuer = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{issuer}/.well-known/openid-configuration").raise_for_status()
                break
            except httpx.HTTPError:
                assert child.poll() is None, "the provider has ended"
                assert time.monotonic() < until, "the provider does not answer"
                time.sleep(0.1)
        yield issuer
    finally:
        child.terminate()
        child.wait(10)


@pytest.fixture
def served_with(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("OIDC_SECRET", "s3cret")
    port = free_port()
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'''
        [oidc]
        issuer = "{provider}"
        client_id = "shop"
        client_secret = "env:OIDC_SECRET"
        address = "http://localhost:{port}"
        name = "Work"
        [[oidc.accounts]]
        value = "staff"
        role = "reviewer"
        cameras = ["a"]
        '''
    )
    words = ("--config", str(settings))
    with Served(made_gallery(tmp_path / "shop", VISITS), *words, port=port) as running:
        yield running


def test_somebody_signs_in_sees_their_cameras_and_is_gone_after_logging_out(browser: Any, served_with: Served) -> None:
    visitor = Visitor(browser, served_with)
    wrong: list[str] = []
    own = served_with.address
    visitor.page.on("response", lambda one: wrong.append(one.url) if one.status >= 400 and own in one.url else None)
    page = visitor.open("/")
    assert page.url.endswith("/login")
    fits_and_has_no_barriers(page)
    page.click("text=Sign in with Work")
    page.click("button[value=ann-1]")
    page.wait_for_selector("#grid .card")
    assert len(visitor.cards()) == 3
    me = page.evaluate("fetch('/api/v1/me').then((one) => one.json())")
    assert (me["name"], me["role"], me["cameras"]) == ("ann (Work)", "reviewer", ["a"])
    visitor.open("/users")
    page.wait_for_selector("#sessions li")
    assert not page.is_visible("#password-title")
    fits_and_has_no_barriers(page)
    page.click("#logout")
    page.wait_for_url("**/oauth2/end_session**")
    assert "post_logout_redirect_uri" in page.url
    page.click("button[type=submit]")
    page.wait_for_url("**/login")
    visitor.open("/")
    assert page.url.endswith("/login")
    # The provider's own pages miss something; ours do not.
    assert wrong == []
    visitor.context.close()


def test_somebody_without_a_group_is_told_why_they_are_not_let_in(browser: Any, served_with: Served) -> None:
    visitor = Visitor(browser, served_with)
    page = visitor.open("/login")
    page.click("text=Sign in with Work")
    page.click("button[value=eve-2]")
    page.wait_for_selector("#problem:not(:empty)")
    assert "nothing that you may do here" in page.inner_text("#problem")
    assert "/oidc/return" in page.url
    fits_and_has_no_barriers(page)
    assert visitor.open("/").url.endswith("/login")
    visitor.context.close()
