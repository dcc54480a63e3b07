"""A gallery on a PostgreSQL server keeps the same promises."""

from __future__ import annotations

import os

import pytest

from reidstream.errors import GalleryLocked, GalleryNotFound
from reidstream.gallery import Filter, Gallery

from .conftest import SETTINGS, SPACE, contents_of, same_contents, some_tracklets, started


@pytest.mark.slow
def test_a_gallery_on_postgres_stores_searches_locks_and_erases() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'reidstream[postgres]'")
    url = os.environ.get("REIDSTREAM_POSTGRES")
    if not url:
        pytest.skip("set REIDSTREAM_POSTGRES to the postgresql:// address of an empty database")
    tracklets = some_tracklets(50)
    with Gallery.open(url, write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(started(), SETTINGS)
        assert gallery.add(tracklets) == 50
        assert gallery.add(tracklets) == 0
        assert same_contents(contents_of(gallery), {t.id: t for t in tracklets})
        with pytest.raises(GalleryLocked, match=rf"pid {os.getpid()}"):
            Gallery.open(url, write=True)
        with Gallery.open(url) as reader:
            assert reader.search(tracklets[3].embedding, 1)[0][0].tracklet == tracklets[3].id
            assert len(reader.search(tracklets[3].embedding, 5, Filter(since=1048.5))[0]) == 3
        erasure = gallery.erase([t.id for t in tracklets], contents=["content-door"])
        assert not erasure.proven
        assert "out of reach" in erasure.reach
        assert gallery.check().problems == []
        assert len(gallery) == 0
    with pytest.raises(GalleryNotFound, match="no gallery at postgresql"):
        Gallery.open(f"{url}-that-is-not-there")
