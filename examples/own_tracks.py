"""Tracks of your own: what another tracker has found, in MOTChallenge's format, and who each of its tracks is.

    python examples/own_tracks.py entrance.mp4 tracks.txt --gallery theirs

A line of the file is a box: frame (from 1), track, left, top, width, height, confidence.
"""

from __future__ import annotations

import argparse

from reidstream import Gallery, SourceConfig, build_gallery
from reidstream.identities.people import list_people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("tracks")
    parser.add_argument("--gallery", default="gallery")
    options = parser.parse_args()
    summary = build_gallery([SourceConfig(uri=options.video, tracks=options.tracks)], gallery=options.gallery)
    for source in summary.failed:
        raise SystemExit(f"{source.source}: {source.error}")
    with Gallery.open(options.gallery) as gallery:
        person_of = {tracklet: person.number for person in list_people(gallery) for tracklet in person.tracklets}
        for tracklet in gallery.tracklets():
            span = f"{tracklet.start_media:.1f} to {tracklet.end_media:.1f} s"
            print(f"track {tracklet.track_id}: person {person_of[tracklet.id]}, {span}")


if __name__ == "__main__":
    main()
