"""A gallery as a pandas table: a row per tracklet with where, when, who and the vector.

python examples/vectors_to_pandas.py --gallery shop --out shop.pkl
"""

from __future__ import annotations

import argparse

import pandas as pd

from reidstream import Gallery
from reidstream.identities.people import list_people


def table_of(gallery: Gallery) -> pd.DataFrame:
    """Index: tracklet ids. ``person`` is the name or number, ``embedding`` float32 (d,), times are UTC."""
    rows = gallery.rows()
    table = pd.DataFrame(rows.records()).set_index("id")
    ids, vectors = gallery.vectors(rows.id.tolist())
    table["embedding"] = pd.Series(list(vectors), index=ids)
    people = {tracklet: person.title for person in list_people(gallery) for tracklet in person.tracklets}
    table["person"] = table.index.map(people)
    for column in ("start_wall", "end_wall"):
        table[column] = pd.to_datetime(table[column], unit="s", utc=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", default="gallery")
    parser.add_argument("--out", help="write the table here, as a pickle")
    options = parser.parse_args()
    with Gallery.open(options.gallery) as gallery:
        table = table_of(gallery)
    visits = table.groupby("person").agg(
        visits=("source", "size"), cameras=("source", "nunique"), first=("start_wall", "min")
    )
    print(visits.sort_values("first").to_string())
    if options.out:
        table.to_pickle(options.out)


if __name__ == "__main__":
    main()
