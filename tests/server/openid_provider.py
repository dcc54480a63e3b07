"""An OpenID provider on this machine, with real keys, that keeps to the rules until a test has it lie."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key

CLIENT, SECRET = "shop", "s3cret:/with signs"

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Provider:
    """A running provider. person: the claims of whoever signs in. changed: what is done to the claims of a token before
    they are signed. signed: how. replies: answers at a path instead of its own. asked: paths, in order."""

    person: dict[str, Any] = field(default_factory=lambda: {"sub": "42", "groups": ["staff"], "name": "Ann"})
    changed: Callable[[dict[str, Any]], dict[str, Any]] = dict
    signed: Callable[[dict[str, Any]], str] | None = None
    replies: dict[str, Callable[[], Reply]] = field(default_factory=dict)
    in_token: Callable[[str], bool] = lambda name: True
    asked: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys: list[Key] = [new_key("first")]
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                provider.answer(self, {name: one for name, (one, *_) in parse_qs(body).items()})

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        parts = urlsplit(handler.path)
        path = parts.path.removeprefix("/realm")
        self.asked.append(path)
        if path in self.replies:
            status, headers, body = self.replies[path]()
        else:
            query = {name: one for name, (one, *_) in parse_qs(parts.query).items()}
            status, headers, body = self._own(path, {**query, **form}, handler.headers.get("authorization", ""))
        try:
            handler.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass

    def _own(self, path: str, sent: dict[str, str], authorization: str) -> Reply:
        if path == "/.well-known/openid-configuration":
            return said(self.discovered())
        if path == "/keys":
            return said({"keys": [key.as_dict(private=False) for key in self.keys]})
        if path == "/authorize":
            code = secrets.token_hex(8)
            self.codes[code] = sent
            back = urlencode({"code": code, "state": sent["state"]})
            return 303, {"location": f"{sent['redirect_uri']}?{back}"}, b""
        if path == "/token":
            return self._token(sent, authorization)
        if path == "/userinfo" and authorization == "Bearer access":
            return said(self.person)
        return said({"error": "not_found"}, 404)

    def discovered(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/leave",
            **self.metadata,
        }

    def _token(self, sent: dict[str, str], authorization: str) -> Reply:
        """RFC 6749 4.1.3 and RFC 7636 4.6: a code once, for the client, address and verifier that it was asked with."""
        asked = self.codes.pop(sent.get("code", ""), None)
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (unquote(name), unquote(secret)) != (CLIENT, SECRET):
            return said({"error": "invalid_client"}, 401)
        verifier = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        fits = asked is not None and (asked["client_id"], asked["redirect_uri"]) == (CLIENT, sent.get("redirect_uri"))
        if asked is None or not fits or asked["code_challenge"] != url64(verifier):
            return said({"error": "invalid_grant"}, 400)
        now = int(time.time())
        about = {key: value for key, value in self.person.items() if self.in_token(key)}
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **about}
        token = (self.signed or self.sign)(self.changed(claims))
        return said({"access_token": "access", "token_type": "Bearer", "id_token": token})

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "ES256", "kid": self.keys[-1].kid}, claims, self.keys[-1])


def new_key(name: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


def said(document: object, status: int = 200) -> Reply:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
