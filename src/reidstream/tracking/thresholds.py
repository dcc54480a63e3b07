"""What decides in the tracker, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Times are seconds, overlaps as in ``association.overlap``, agreements as in ``Appearance.agreement``.

    They lie on a plateau: halving or doubling a time, or moving another by a third, changes mean HOTA on two labelled
    scenes, played forwards and backwards, by -1.6 to +0.4. What users have reason to change is in ``TrackerConfig``.
    """

    sure_floor: float = 0.15
    """Least overlap at which a sure detection continues a track."""
    unsure_floor: float = 0.5
    """Least overlap at which an unsure one does (ByteTrack's second stage)."""
    recent: float = 0.5
    """A track unseen for longer is continued by sure detections only."""
    stale: float = 0.4
    """A track unseen for longer may have been passed by somebody: appearance has to agree, if it is known."""
    gate: float = 3.0
    """Mahalanobis distance within which a stale track may be found again when appearance agrees."""
    found_again: float = 0.5
    """Least agreement for that, when the boxes do not overlap."""
    veto: float = -0.6
    """Agreement below which a detection shows somebody else, whatever its place."""
    suspicion: float = 1.0
    """A track is given up when the disagreements of its clean looks add up to more than this (CUSUM, Page 1954)."""
    recheck: float = 0.2
    """A track under suspicion is looked at again after this."""
    weak: float = 0.4
    """A best pair with less overlap than this is looked at."""
    settled: float = 0.5
    """A detection that overlaps a track seen just now by this much is no candidate for a stale one."""
    clean: float = 0.4
    """A detection that overlaps another one less (IoU) shows one person: tracks may learn from it."""
    free: float = 0.2
    """A look that nothing asks for waits for a detection that overlaps others less than this: a crop with half of
    somebody else in it would speak against a track that is right."""
    refresh: float = 1.0
    """A track is looked at this often even when nothing is in doubt: to recognise it later, and to notice drifting."""
    duplicate: float = 0.5
    """A detection with this IoU with a tracked one starts no track: it is the same person twice."""
    hidden: float = 0.65
    """A detection of which this part lies inside a tracked one starts no track: it is somebody too hidden to be known
    by it."""
    evident: float = 0.7
    """Mean score from which a second detection confirms a track without waiting (precision above .9 at this score)."""
    coast: float = 0.2
    """A confirmed track inside the picture that is missed is reported with its predicted box for this long."""
    unconfirmed: float = 0.25
    """A track that was never confirmed is forgotten after this."""
    border: float = 0.02
    """How near to the border, as a part of the picture's width and height, a box counts as touching it."""
    margin: float = 0.5
    """Two pairs are in doubt when exchanging them costs less than this in total overlap (0..2)."""
    touch: float = 0.1
    """Overlap from which a track and a detection have anything to do with each other."""
