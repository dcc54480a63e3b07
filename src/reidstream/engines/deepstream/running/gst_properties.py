"""Setting properties of GStreamer elements by name, with an answer when a name or value is wrong."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from reidstream.config.deepstream import PropertyValue
from reidstream.errors import ConfigError, MissingDependency

_BASIC = {"gboolean", "gint", "guint", "gint64", "guint64", "gulong", "glong", "gfloat", "gdouble", "gchararray"}


def load_gst() -> Any:
    """GStreamer, ready to use; MissingDependency with the way to get it where it is missing."""
    try:
        gi = importlib.import_module("gi")
        gi.require_version("Gst", "1.0")
        gst: Any = importlib.import_module("gi.repository.Gst")
    except (ImportError, ValueError) as error:
        raise MissingDependency(
            f"the DeepStream engine needs GStreamer with its Python bindings ({error}): run inside the DeepStream 8.0 "
            "container (docker/README.md), or install python3-gi and gir1.2-gstreamer-1.0 and make them visible to "
            "this Python; or use --engine local"
        ) from error
    gst.init(None)
    return gst


def make_element(gst: Any, factory: str, name: str | None = None) -> Any:
    """A new element; MissingDependency when GStreamer does not know its kind."""
    element = gst.ElementFactory.make(factory, name)
    if element is None:
        raise MissingDependency(
            f"GStreamer has no element {factory!r}: it comes with NVIDIA DeepStream 8.0; run inside its container "
            f"(docker/README.md), where `gst-inspect-1.0 {factory}` must know it"
        )
    return element


def set_properties(gst: Any, element: Any, values: Mapping[str, PropertyValue], where: str) -> None:
    """Set each value on the element. ``where``: the configuration section, for messages.

    Raises ConfigError for a property that the element does not have, with the list of those it has, and for a value
    that the property does not take.
    """
    specs = {spec.name: spec for spec in element.list_properties()}
    kind = element.get_factory().get_name()
    for name, value in values.items():
        spec = specs.get(name)
        if spec is None:
            close = difflib.get_close_matches(name, specs, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where}: {kind} has no property {name!r}.{hint} It has: {', '.join(sorted(specs))}")
        try:
            if spec.value_type.name in _BASIC:
                element.set_property(name, _converted(spec, value))
            else:
                # Enumerations and the like, by their short name or number.
                gst.util_set_object_arg(element, name, str(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{where}: {kind}.{name} takes {_allowed(spec)}, got {value!r} ({error})") from None


def _converted(spec: Any, value: PropertyValue) -> PropertyValue:
    kind = spec.value_type.name
    if kind == "gchararray":
        return str(value)
    if kind == "gboolean":
        if value in (0, 1):
            return bool(value)
        raise ValueError("not a truth value")
    if isinstance(value, str) or (isinstance(value, float) and kind not in ("gfloat", "gdouble")):
        raise TypeError("not a whole number" if kind not in ("gfloat", "gdouble") else "not a number")
    number: float = value
    if not spec.minimum <= number <= spec.maximum:
        raise ValueError("out of range")
    return value


def _allowed(spec: Any) -> str:
    kind = str(spec.value_type.name).removeprefix("g")
    if hasattr(spec, "minimum") and kind not in ("boolean", "chararray"):
        return f"{kind} from {spec.minimum} to {spec.maximum}"
    return {"chararray": "text", "boolean": "true or false"}.get(kind, kind)
