"""What MkDocs asks when it builds the site: pages from outside docs/, and links to them.

In the repository a link of docs/ leads to ``../CHANGELOG.md`` and one of the README to ``docs/install.md``; in the site
all pages lie in one folder. A site that loads anything from another host is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
# What a browser fetches by itself, in pages and in style sheets.
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|icon|preload|preconnect|dns-prefetch))[^>]*?\bhref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|url\(\s*["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)"""
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and programs that lie outside docs/."""
    files.append(File.generated(config, "index.md", content=_without(ROOT / "README.md", "docs/")))
    for name in _OUTSIDE:
        files.append(File.generated(config, name, content=_without(ROOT / name, "docs/")))
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix in {".md", ".py"}:
            files.append(File.generated(config, f"examples/{path.name}", content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Links of docs/ that lead out of it, as they are in the site."""
    if "/" in page.file.src_uri:
        return markdown
    return _LINK.sub(lambda link: link[1] + link[2].removeprefix("../") + link[3], markdown)


def on_post_build(config: Any) -> None:
    """Refuse a site that loads something from another host."""
    site = Path(config["site_dir"])
    found = [
        f"{path.relative_to(site)} loads {next(filter(None, hit.groups()))}"
        for path in sorted(site.rglob("*"))
        if path.suffix in {".html", ".css"}
        for hit in _LOADED.finditer(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("the site must need no other host: " + "; ".join(found))


def _without(path: Path, prefix: str) -> str:
    """A page with its links as they are where ``prefix`` is the page's own folder."""
    return _LINK.sub(lambda link: link[1] + link[2].removeprefix(prefix) + link[3], path.read_text(encoding="utf-8"))
