"""A gallery of made-up people behind the application, asked without a socket."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.app import create_app
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL
from tests.identities.conftest import SPACE, Visit, begin, made_tracklet

# Ann (1) was seen by both cameras, Ben (2) by a and b, Cleo (3) by a alone.
VISITS: list[Visit] = [
    (1, "a", 0, 5),
    (2, "a", 1, 6),
    (1, "b", 10, 15),
    (3, "a", 12, 18),
    (2, "b", 20, 25),
    (1, "a", 30, 35),
]
IDS = [made_tracklet(*visit).id for visit in VISITS]
PASSWORD = "correct horse"
_CONFIG = GalleryConfig(index="exact")


def picture(person: int) -> bytes:
    """A JPEG of one colour."""
    colour = np.random.default_rng(person).integers(0, 255, 3)
    done, data = cv2.imencode(".jpg", np.full((192, 96, 3), colour, np.uint8))
    assert done
    return data.tobytes()


def stored(gallery: Gallery, visits: list[Visit]) -> None:
    begin(gallery, visits)
    gallery.add(with_pictures(visits))


def with_pictures(visits: list[Visit]) -> list[Any]:
    return [
        replace(made_tracklet(*visit), crop=picture(visit[0]), crop_frame=1, crop_box=(0.0, 0.0, 96.0, 192.0))
        for visit in visits
    ]


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as elsewhere, with far less work; see ``test_passwords_cost_what_is_recommended``."""
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("reidstream.server.access.accounts.PasswordHasher", cheap)


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a gallery that a desk has decided, to be copied and not to be written to."""
    folder = tmp_path_factory.mktemp("decided") / "gallery"
    with Gallery.open(folder, write=True, create=True, space=SPACE, config=_CONFIG) as opened:
        stored(opened, VISITS)
        with closing(Desk(opened)) as desk:
            desk.settle()
    return folder


@pytest.fixture
def gallery(decided: Path, tmp_path: Path) -> Iterator[Gallery]:
    shutil.copytree(decided, tmp_path / "gallery")
    with Gallery.open(tmp_path / "gallery", write=True, space=SPACE, config=_CONFIG) as opened:
        begin(opened, VISITS)
        yield opened


@pytest.fixture
def desk(gallery: Gallery) -> Iterator[Desk]:
    made = Desk(gallery)
    made.settle()
    yield made
    made.close()


class Asking:
    """A client, and the words for what tests ask for most."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return self._checked(self.client.get(f"/api/v1{path}", params=params), status)

    def post(self, path: str, sent: Any = None, status: int = 200) -> Any:
        return self._checked(self.client.post(f"/api/v1{path}", json=sent), status)

    def people(self, **params: Any) -> dict[int, dict[str, Any]]:
        """The people by number."""
        return {person["number"]: person for person in self.get("/people", order="number", **params)["people"]}

    def seen(self, *numbers: int) -> dict[str, str]:
        """What somebody sees who looks at these people."""
        people = self.people()
        return {t: people[n]["id"] for n in numbers for t in people[n]["tracklets"]}

    def decide(self, kind: str, status: int = 200, **values: Any) -> Any:
        return self.post("/decisions", {"kind": kind, **values}, status)

    @staticmethod
    def _checked(response: Any, status: int) -> Any:
        assert response.status_code == status, response.text
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["detail"]
        return response.json()


Client = Callable[..., Asking]


@pytest.fixture
def app(desk: Desk) -> Any:
    return create_app(desk)


@pytest.fixture
def owner(app: Any) -> Asking:
    """The gallery's owner, who comes through its socket."""
    return Asking(TestClient(app, base_url="http://localhost", client=(f"{LOCAL}{os.getuid()}", 1)))


@pytest.fixture
def user(app: Any, desk: Desk) -> Client:
    """Makes somebody who has a token with this role and these cameras."""
    accounts = Accounts(desk.gallery)

    def make(role: Role = Role.VIEWER, cameras: list[str] | None = None) -> Asking:
        name = f"{role.value} {cameras}"
        account = accounts.add(name, PASSWORD, role, cameras)
        secret, _ = accounts.add_token(account.id, "test", role)
        return Asking(TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {secret}"}))

    return make
