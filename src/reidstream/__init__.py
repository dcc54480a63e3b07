"""ReIDStream: video goes in, a searchable gallery of people comes out."""

__version__ = "0.1.0"
