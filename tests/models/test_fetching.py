"""Fetching over a real HTTP server on this machine that misbehaves as servers do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reidstream.errors import ModelError, ModelMismatch, ModelNotFound
from reidstream.models import KnownModel, ModelSpec
from reidstream.models.fetching import fetch_model

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Answers one request after the other with the next of ``answers``, the last one again and again."""

    answers: list[Answer]
    requests: list[tuple[str, str | None]]
    address_text: str


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        answer = self.server.answers[0] if len(self.server.answers) == 1 else self.server.answers.pop(0)
        answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def offset(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))


def whole(handler: Handler) -> None:
    start = handler.offset()
    if start >= len(CONTENT):
        handler.reply(416, {"Content-Range": f"bytes */{len(CONTENT)}"})
    elif start:
        headers = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        handler.reply(206, headers, CONTENT[start:])
    else:
        handler.reply(200, {}, CONTENT)


def without_ranges(handler: Handler) -> None:
    handler.reply(200, {}, CONTENT)


def cut_after(count: int) -> Answer:
    """Promises the rest of the file and hangs up after ``count`` bytes of it."""

    def answer(handler: Handler) -> None:
        start = handler.offset()
        headers = {"Content-Length": str(len(CONTENT) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.close_connection = True
        handler.reply(206 if start else 200, headers, CONTENT[start : start + count])

    return answer


def wrong(handler: Handler) -> None:
    handler.reply(200, {}, b"<html>Please log in</html>")


def status(code: int) -> Answer:
    return lambda handler: handler.reply(code, {}, b"no")


def redirect(target: str) -> Answer:
    return lambda handler: handler.reply(302, {"Location": target})


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server(("127.0.0.1", 0), Handler)
    served.answers, served.requests = [whole], []
    served.address_text = f"http://127.0.0.1:{served.server_address[1]}"
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def entry(server: Server, path: str = "/files/model.onnx", sha256: str = SHA256) -> KnownModel:
    spec = ModelSpec(name="far", task="reid", url=server.address_text + path, sha256=sha256)
    return KnownModel(spec, Path("/nowhere/manifest.toml"))


def fetch(wanted: KnownModel, timeout: float = 5.0) -> Path:
    return fetch_model(wanted, first_pause=0.001, timeout=timeout)[0].path


def test_file_is_fetched_once_and_then_taken_from_the_cache(server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    model, now = fetch_model(entry(server), lambda have, total: seen.append((have, total)))
    assert now and model.path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    again, now = fetch_model(entry(server))
    assert not now and again.path == model.path and len(server.requests) == 1
    assert [path.name for path in model.path.parent.iterdir() if not path.name.endswith(".lock")] == ["model.onnx"]


def test_cut_connections_are_taken_up_where_they_broke(server: Server) -> None:
    server.answers = [cut_after(100_000), cut_after(150_000), whole]
    assert fetch(entry(server)).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100000-", "bytes=250000-"]


def test_many_cuts_do_no_harm_as_long_as_something_comes(server: Server) -> None:
    server.answers = [*(cut_after(40_000) for _ in range(12)), whole]
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_server_without_ranges_starts_anew(server: Server) -> None:
    server.answers = [cut_after(100_000), without_ranges]
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_next_call_goes_on_with_what_an_earlier_one_left(server: Server) -> None:
    server.answers = [cut_after(100_000), status(503)]
    with pytest.raises(ModelError, match=r"503[\s\S]*100,000 bytes are kept[\s\S]*REIDSTREAM_MODELS"):
        fetch(entry(server))
    assert not list(entry(server).cache_path.parent.glob("model.onnx"))
    server.answers = [whole]
    assert fetch(entry(server)).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=100000-"


def test_whole_partial_file_needs_no_more_bytes(server: Server) -> None:
    target = entry(server).cache_path
    target.parent.mkdir(parents=True)
    (target.parent / f"model.onnx.{SHA256[:12]}.part").write_bytes(CONTENT)
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_damaged_partial_file_is_not_kept(server: Server) -> None:
    target = entry(server).cache_path
    target.parent.mkdir(parents=True)
    (target.parent / f"model.onnx.{SHA256[:12]}.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelMismatch, match="It was removed"):
        fetch(entry(server))
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_longer_partial_file_than_the_server_has_starts_anew(server: Server) -> None:
    target = entry(server).cache_path
    target.parent.mkdir(parents=True)
    (target.parent / f"model.onnx.{SHA256[:12]}.part").write_bytes(CONTENT + b"more")
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_wrong_content_is_refused_and_removed(server: Server) -> None:
    server.answers = [wrong]
    with pytest.raises(ModelMismatch, match=f"sha256 {SHA256} expected"):
        fetch(entry(server))
    assert [path.name for path in entry(server).cache_path.parent.iterdir()] in ([], ["model.onnx.lock"])


def test_wrong_file_in_the_cache_is_replaced(server: Server) -> None:
    target = entry(server).cache_path
    target.parent.mkdir(parents=True)
    target.write_bytes(b"from an older manifest")
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_redirects_are_followed_with_the_range(server: Server) -> None:
    server.answers = [redirect("/other/place?token=1"), cut_after(100_000), redirect("/other/place"), whole]
    assert fetch(entry(server)).read_bytes() == CONTENT
    assert server.requests[-1] == ("/other/place", "bytes=100000-")


def test_endless_redirects_end(server: Server) -> None:
    server.answers = [redirect("/files/model.onnx")]
    with pytest.raises(ModelError, match=r"[Rr]edirect"):
        fetch(entry(server))


def test_missing_file_is_not_asked_for_again(server: Server) -> None:
    server.answers = [status(404)]
    with pytest.raises(ModelNotFound, match=r"answers 404 Not Found[\s\S]*without a network"):
        fetch(entry(server))
    assert len(server.requests) == 1


def test_passing_server_errors_are_outlived(server: Server) -> None:
    server.answers = [status(500), status(429), whole]
    assert fetch(entry(server)).read_bytes() == CONTENT


def test_silent_server_is_given_up(server: Server) -> None:
    release = threading.Event()
    server.answers = [lambda handler: release.wait(10) and None]
    try:
        with pytest.raises(ModelError, match="timed out"):
            fetch(entry(server), timeout=0.05)
    finally:
        release.set()


def test_no_network_says_what_to_do(server: Server) -> None:
    unreachable = entry(server)
    server.server_close()
    with pytest.raises(ModelError, match=r"cannot be fetched[\s\S]*put it into the folder[\s\S]*REIDSTREAM_MODELS"):
        fetch(unreachable)


def test_mirror_needs_no_network(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("REIDSTREAM_MODELS", str(mirror))
    (mirror / "model.onnx").write_bytes(CONTENT)
    assert fetch(entry(server)) == mirror / "model.onnx"
    assert not server.requests
    (mirror / "model.onnx").write_bytes(b"another version")
    with pytest.raises(ModelMismatch, match="is in the way"):
        fetch(entry(server))


def test_entry_without_address_cannot_be_fetched() -> None:
    spec = ModelSpec(name="near", task="reid", sha256=SHA256)
    with pytest.raises(ModelNotFound, match=r"no address[\s\S]*REIDSTREAM_MODELS"):
        fetch_model(KnownModel(spec, Path("/nowhere/manifest.toml")))


def test_two_fetches_at_once_download_once(server: Server) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(entry(server)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.read_bytes() for path in paths} == {CONTENT} and len(paths) == 4
    assert len(server.requests) == 1


def test_cache_that_cannot_be_written_is_named(server: Server, folders: dict[str, Path]) -> None:
    folders["cache"].write_text("a file where a folder should be")
    with pytest.raises(ModelError, match="cannot be written"):
        fetch(entry(server))
