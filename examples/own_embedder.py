"""An embedder of your own: the colours of the upper and the lower body, and a search with it.

    python examples/own_embedder.py entrance.mp4 --gallery colours --find person.jpg

A gallery remembers which embedder its vectors came from, and refuses those of another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np

from reidstream import EmbeddingSpace, Gallery, build_gallery
from reidstream.search import QueryModels, ask, query_of
from reidstream.sources.frame import Pixels
from reidstream.types import FloatArray


class ColourEmbedder:
    """Histograms of hue and saturation, square roots taken: their cosine is the Bhattacharyya coefficient."""

    # Change the first value with everything that changes what the vectors mean.
    space = EmbeddingSpace("colours of two halves, 8x4 bins, v1", "colours", 64)

    def embed(self, crops: Sequence[Pixels]) -> FloatArray:
        vectors = np.array([self._vector(crop) for crop in crops], np.float32).reshape(-1, self.space.size)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def _vector(self, crop: Pixels) -> FloatArray:
        hsv = cv2.cvtColor(cv2.resize(crop, (32, 64)), cv2.COLOR_BGR2HSV)
        halves = [cv2.calcHist([half], [0, 1], None, [8, 4], [0, 180, 0, 256]) for half in (hsv[:32], hsv[32:])]
        return np.sqrt(np.concatenate([half.ravel() for half in halves]) + 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--find", help="a photo of somebody")
    options = parser.parse_args()
    embedder = ColourEmbedder()
    summary = build_gallery(options.videos, gallery=options.gallery, embedder=embedder)
    print(f"new tracklets: {summary.stored}, people in {options.gallery}: {summary.people}")
    if options.find:
        with Gallery.open(options.gallery) as gallery:
            answer = ask(gallery, query_of(gallery, options.find, QueryModels(gallery, reid=embedder)), k=5)
            print(answer.identity.sentence)
            for found in answer.records(gallery):
                print(f"{found['similarity']:.3f}  {found['source']} at {found['start_media']:.0f} s")


if __name__ == "__main__":
    main()
