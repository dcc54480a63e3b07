"""Pages that are written into files: templates of this package, in which every text is escaped."""

from __future__ import annotations

from typing import Any


def page_of(package: str, template: str, /, **values: Any) -> str:
    """A template of ``package`` with these values in it; one that it asks for and does not get is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
