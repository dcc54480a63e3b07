"""How well a gallery's vectors tell its people apart: similarities within and between people, as histograms.

    python examples/plot_similarities.py --gallery shop --out similarities.png

People are those that were decided (and, better, reviewed): the less the two overlap, the better the model fits here.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np

from reidstream import Gallery
from reidstream.identities.people import list_people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--out", default="similarities.png")
    options = parser.parse_args()
    with Gallery.open(options.gallery) as gallery:
        ids, vectors = gallery.vectors()
        person_of = {tracklet: person.number for person in list_people(gallery) for tracklet in person.tracklets}
    owners = np.array([person_of.get(tracklet, 0) for tracklet in ids])
    first, second = np.triu_indices(len(ids), 1)
    decided = (owners[first] > 0) & (owners[second] > 0)
    similarity = np.einsum("ij,ij->i", vectors[first], vectors[second])[decided]
    same = (owners[first] == owners[second])[decided]

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for pairs, label in ((~same, "two people"), (same, "one person")):
        axes.hist(
            similarity[pairs], bins=40, range=(-0.2, 1), density=True, alpha=0.6, label=f"{label} ({pairs.sum()})"
        )
    axes.set(xlabel="cosine similarity of two tracklets", ylabel="density", title=options.gallery)
    axes.legend()
    figure.savefig(options.out, dpi=120)
    pyplot.close(figure)
    print(f"{same.sum()} pairs of one person, {(~same).sum()} of two, drawn to {options.out}")


if __name__ == "__main__":
    main()
