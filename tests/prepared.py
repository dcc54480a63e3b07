"""A small folder as a user's might be, made in seconds: a video, photos, and a gallery of nine people at two cameras.

entrance.mp4, yard.mp4    six seconds each of a made-up shop
person.jpg, photo.jpg     a frame of the first, with people in it
photos/                   three such pictures, each of one person
shop/                     the gallery: real embeddings of rendered people, decided and with names
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import av
import cv2
import numpy as np

from reidstream.config import EmbeddingConfig, GalleryConfig
from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.applying import apply
from reidstream.identities.people import list_people
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.inference import open_embedder
from reidstream.inference.protocols import Embedder
from reidstream.models import resolve_model
from reidstream.synthetic import Crop, World, render_crops, write_scene
from reidstream.types import EndReason, SourceStarted, Tracklet

# When the day of the made-up shop begins, Unix seconds: 2026-01-31 17:00 UTC.
MORNING = 1_769_878_800.0
CAMERAS = ("hall", "yard")


def prepare(folder: Path) -> None:
    """Fill an empty folder."""
    world = World(seed=7, cameras=2, people=3, minutes=0.1, fps=10)
    scene = write_scene(folder / "scene", world, workers=1)
    for camera, name in zip(scene.cameras, ("entrance.mp4", "yard.mp4"), strict=True):
        camera.video.rename(folder / name)
    shutil.rmtree(folder / "scene")
    # When most people stand in the picture.
    busiest = int(np.bincount(scene.cameras[0].frames).argmax())
    with av.open(folder / "entrance.mp4") as video:
        image = next(itertools.islice(video.decode(video=0), busiest, None)).to_ndarray(format="bgr24")
    for name in ("person.jpg", "photo.jpg"):
        cv2.imwrite(str(folder / name), image)
    crops = sorted(render_crops(9, seed=1, cameras=len(CAMERAS)), key=lambda crop: (crop.person, crop.camera))
    (folder / "photos").mkdir()
    for number, crop in enumerate(crops[::15][:3]):
        cv2.imwrite(str(folder / "photos" / f"{number}.jpg"), crop.image)
    _gallery(folder / "shop", crops)


def _gallery(place: Path, crops: list[Crop]) -> None:
    embedder = open_embedder(resolve_model("person-reid", "reid"), EmbeddingConfig())
    config = GalleryConfig(index="exact")
    with Gallery.open(
        place, write=True, create=True, space=embedder.space, model="person-reid", config=config
    ) as gallery:
        for camera in CAMERAS:
            gallery.begin_source(
                SourceStarted(camera, f"{camera}.mp4", f"content of {camera}", (960, 540), 10, MORNING), "made up"
            )
        visits = itertools.groupby(crops, key=lambda crop: (crop.person, crop.camera))
        gallery.add([_tracklet(person, camera, list(own), embedder) for (person, camera), own in visits])
        apply(gallery, propose(gallery, IdentityConfig()))
        Review(gallery, "prepared").label(str(list_people(gallery)[0].number), "Grace", "")


def _tracklet(person: int, camera: int, crops: list[Crop], embedder: Embedder) -> Tracklet:
    vectors = embedder.embed([crop.image for crop in crops])
    mean = vectors.mean(axis=0)
    start = 40.0 * person + 15.0 * camera
    best = max(crops, key=lambda crop: crop.image.shape[0])
    height, width = best.image.shape[:2]
    return Tracklet(
        id=f"{person + 1:02x}{camera:02x}" + "0" * 28,
        source=CAMERAS[camera],
        content=f"content of {CAMERAS[camera]}",
        track_id=person + 1,
        part=0,
        parts=1,
        start_frame=round(10 * start),
        end_frame=round(10 * start) + 60,
        start_media=start,
        end_media=start + 6,
        start_wall=MORNING + start,
        end_wall=MORNING + start + 6,
        reason=EndReason.LEFT,
        observations=60,
        confidence=0.9,
        embedding=(mean / np.linalg.norm(mean)).astype(np.float32),
        prototypes=vectors,
        prototype_weights=np.full(len(crops), 1 / len(crops), np.float32),
        embeddings_used=len(crops),
        embeddings_seen=len(crops),
        purity=0.95,
        quality=0.8,
        frames=np.array([round(10 * start), round(10 * start) + 60]),
        boxes=np.array([[10, 20, 10 + width, 20 + height], [200, 20, 200 + width, 20 + height]], np.float32),
        crop=cv2.imencode(".jpg", best.image)[1].tobytes(),
        crop_frame=round(10 * start),
        crop_box=(10.0, 20.0, 10.0 + width, 20.0 + height),
    )
