"""How alike tracklets of strangers, and of one person, usually are in a model's embedding space.

    python -m benchmarks.expected_looks --model person-reid --cache build/aside.npz [--name person-reid/2]

Prints an entry for ``reidstream/expected_looks.toml``. Measured on galleries of the 150 people of Market-1501 whom no
weights of this project are trained on (``benchmarks.regimes --part aside`` cuts others of them): six cameras and one
street, three in five return. Medians over the galleries, of whom each weighs the same. Of weights that were trained on
these cameras it says too much: what the same people look like to weights that never saw the cameras holds elsewhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.regimes import cameras, evidence_from, load_crops, nobodys, street
from reidstream.config import EmbeddingConfig
from reidstream.identities.calibration import clarity_of, medium_clarity
from reidstream.identities.similarity import likeness
from reidstream.identities.strangers import nearest_strangers
from reidstream.inference import open_embedder
from reidstream.models import resolve_model

SIZES, SEEDS, RATE = (25, 50, 100), range(4), 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="person-reid")
    parser.add_argument("--cache", type=Path, required=True, help="keeps the model's embedded crops")
    parser.add_argument("--name", default="NAME/1")
    options = parser.parse_args()
    crops = load_crops(options.cache, options.model)
    people, found = nobodys(crops), []
    for regime, poor in ((cameras, 0.25), (street, 0.35)):
        for size in SIZES:
            for seed in SEEDS:
                visits = regime(crops, people, size, RATE, 90_000 + 10 * size + seed)
                evidence, truth = evidence_from(crops, visits, poor, np.random.default_rng(seed))
                n = len(evidence)
                i, j = np.triu_indices(n, 1)
                alike, clarity = likeness(evidence, i, j).astype(np.float64), clarity_of(evidence.strength)
                whole = np.zeros((n, n))
                whole[i, j] = whole[j, i] = alike
                mean, spread, _ = nearest_strangers(whole, (truth[:, None] != truth[None, :]).astype(float))
                one = (truth[i] == truth[j]) & (truth[i] >= 0)
                level = medium_clarity(alike[one], clarity[i][one] * clarity[j][one])
                found.append([mean.mean(), np.sqrt((spread**2).mean()), level.mean(), level.std()])
    strangers, wide, same, apart = np.median(found, axis=0)
    fingerprint = open_embedder(resolve_model(options.model, "reid"), EmbeddingConfig()).space.fingerprint
    print(f'[[expected]]\nname = "{options.name}"\nspace = "{fingerprint}"')
    print(f"strangers = {strangers:.3f}\nstrangers_spread = {wide:.4f}")
    print(f"same = {same:.3f}\nsame_spread = {apart:.3f}\nmeasured = true")


if __name__ == "__main__":
    main()
