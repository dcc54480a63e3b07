"""``reidstream serve``: a gallery in the browser, and over HTTP, while cameras fill it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import typer

from reidstream.cli.common import console, set_up_logging
from reidstream.cli.options import CONFIG, DETECTOR, GALLERY, REID, SETTINGS, given
from reidstream.cli.run import EngineChoice
from reidstream.errors import ConfigError


def serve(
    sources: list[str] | None = typer.Argument(
        None, help="Videos, folders of images, rtsp:// addresses, webcams, or TOML files that list cameras."
    ),
    gallery: str = GALLERY,
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen at."),
    port: int = typer.Option(8400, "--port", "-p", min=0, max=65535, help="Port to listen at; 0: a free one."),
    host_names: list[str] | None = typer.Option(
        None, "--host-name", help="A name under which browsers reach the server; repeatable."
    ),
    certificate: Path | None = typer.Option(None, "--certificate", help="PEM file with the certificate, for https."),
    key: Path | None = typer.Option(None, "--key", help="PEM file with its key, if that is another file."),
    proxies: list[str] | None = typer.Option(
        None, "--trusted-proxy", help="Address or network of a proxy whose X-Forwarded headers are true; repeatable."
    ),
    user_header: str = typer.Option(
        "", "--user-header", help="Header in which such a proxy names the user that it has checked."
    ),
    engine: EngineChoice = typer.Option(EngineChoice.LOCAL, "--engine", "-e", help="What decodes and runs models."),
    detector: str | None = DETECTOR,
    reid: str | None = REID,
    config: Path | None = CONFIG,
    settings: list[str] | None = SETTINGS,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Errors only."),
) -> None:
    """Own a gallery and show it: people are reviewed in the browser while cameras run, programs ask over HTTP.

    Other commands on this gallery go through the server by themselves. Ctrl-C ends it; everything seen is stored.

    Example: reidstream serve --gallery shop
    Example: reidstream serve cameras.toml --gallery shop --port 8400
    """
    # Before NumPy is loaded: its workers would spin for the cores that requests and cameras need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    set_up_logging(verbose, quiet)
    from reidstream.config import load_config
    from reidstream.server.guard import Trust
    from reidstream.server.running import Address, open_gallery
    from reidstream.server.running import serve as run
    from reidstream.sources import expand_sources

    if key is not None and certificate is None:
        raise ConfigError("--key belongs to a --certificate; there is none")
    for path in filter(None, (certificate, key)):
        if not path.is_file():
            raise ConfigError(f"no certificate or key at {path}")
    if user_header and not proxies:
        raise ConfigError("--user-header is believed from a --trusted-proxy only; name one")
    tree = load_config(config, [*(settings or []), *given(detector__model=detector, embedding__model=reid)])
    # Browsers come back from the provider under this name.
    returned_to = [urlsplit(tree.oidc.address).hostname or ""] if tree.oidc.is_set else []
    try:
        trust = Trust([*(host_names or ()), *returned_to, host], proxies or (), user_header)
    except ValueError as error:
        raise ConfigError(f"--trusted-proxy must be an address or network: {error}") from None
    wanted = [*expand_sources(sources or []), *(tree.sources if not sources else ())]
    say = (lambda text: None) if quiet else (lambda text: console().print(text, markup=False))
    address = Address(host, port, certificate, key, trust)
    with open_gallery(gallery, tree, needed=bool(wanted)) as opened:
        run(opened, tree, wanted, address, engine=engine.value, say=say)
