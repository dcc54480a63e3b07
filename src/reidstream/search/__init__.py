"""Searching a gallery: who is in a photo, who is like a tracklet or a vector, many photos into one table."""

from __future__ import annotations

from reidstream.search.answers import Answer, QueryModels, ask, query_of
from reidstream.search.galleries import MergedAnswer, Said, search_galleries
from reidstream.search.person import Conclusion, Identity
from reidstream.search.photos import PhotoAnswer, answer_rows, search_photos, write_answers
from reidstream.search.query import Query, find_photos, photo_query, tracklet_query, vector_query

__all__ = [
    "Answer",
    "Conclusion",
    "Identity",
    "MergedAnswer",
    "PhotoAnswer",
    "Query",
    "QueryModels",
    "Said",
    "answer_rows",
    "ask",
    "find_photos",
    "photo_query",
    "query_of",
    "search_galleries",
    "search_photos",
    "tracklet_query",
    "vector_query",
    "write_answers",
]
