"""Videos that show who was seen: boxes, numbers, names and trails drawn into the frames."""

from reidstream.rendering.film import SUFFIXES, Named, Renderer, Trails, annotated, film_paths, track_colour
from reidstream.rendering.sightings import Sightings

__all__ = ["SUFFIXES", "Named", "Renderer", "Sightings", "Trails", "annotated", "film_paths", "track_colour"]
