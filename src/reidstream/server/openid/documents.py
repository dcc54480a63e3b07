"""JSON documents of somebody else's web server, with bounds on how long and how much."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import anyio
import httpx

from reidstream.errors import ProviderError
from reidstream.foreign_documents import parsed_json

SECONDS = 10.0
"""One document takes at most so long, from looking up the host to its last byte."""
MOST_BYTES = 256 * 1024


async def fetched(
    method: str,
    address: str,
    *,
    trusted: ssl.SSLContext | bool = True,
    seconds: float = SECONDS,
    data: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Status and object of an answer. Redirects are not followed, because they would lead to hosts nobody named.

    Raises ProviderError for an answer that does not come in time, is too long, redirects, or is no JSON object.
    """
    # What is compressed could be far larger than what was sent.
    sent = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
    try:
        with anyio.fail_after(seconds):
            async with (
                httpx.AsyncClient(verify=trusted, follow_redirects=False, timeout=seconds) as client,
                client.stream(method, address, data=data, headers=sent, auth=auth) as response,
            ):
                if response.has_redirect_location:
                    raise ProviderError(f"{address} redirects elsewhere, which is not followed")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ProviderError(f"{address} answers compressed, which was not asked for")
                body = b""
                async for some in response.aiter_raw():
                    body += some
                    if len(body) > MOST_BYTES:
                        raise ProviderError(f"{address} answers with more than {MOST_BYTES} bytes")
    except TimeoutError:
        raise ProviderError(f"{address} does not answer within {seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ProviderError(f"{address} cannot be asked: {error or type(error).__name__}") from None
    try:
        document = parsed_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProviderError(f"{address} answers {response.status_code} with something that is no JSON object")
    return response.status_code, document
