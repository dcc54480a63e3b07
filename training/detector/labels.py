"""Boxes for unlabelled pictures: the published YOLOX-nano, asked at several sizes and mirrored."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from reidstream.boxes import non_maximum, pairwise_iou
from reidstream.inference.yolox_rows import grid
from training.sequences import FloatArray

PAD = 114
# Long sides at which a picture is looked at: small people are found in the large ones, large people in the small ones.
LONG_SIDES = (416, 640, 960)


def letterbox(picture: NDArray[np.uint8], long_side: int) -> tuple[NDArray[np.float32], float]:
    """(1, 3, h, w) BGR 0-255 with sides that are multiples of 32, and the factor from source to network pixels."""
    scale = long_side / max(picture.shape[:2])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    canvas = np.full((-(-height // 32) * 32, -(-width // 32) * 32, 3), PAD, np.uint8)
    canvas[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas.transpose(2, 0, 1)[None].astype(np.float32), scale


def decode_output(output: FloatArray, height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Boxes xyxy in network pixels and person scores of one picture's raw YOLOX output (anchors, 5 + classes)."""
    corners, strides = grid((width, height))
    centre = (output[:, :2] + corners) * strides
    half = np.exp(output[:, 2:4]) * strides / 2
    boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    return boxes, (output[:, 4] * output[:, 5]).astype(np.float32)


def suppress(boxes: FloatArray, scores: FloatArray, threshold: float, overlap: float) -> NDArray[np.int64]:
    """Rows that stay after greedy non-maximum suppression of those above a score, best first."""
    rows = np.flatnonzero(scores > threshold)
    return rows[non_maximum(boxes[rows], scores[rows], overlap, most=len(rows))]


class Teacher:
    """Votes of one detector over sizes and mirroring. ``model`` takes any size and has one class."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def look(self, picture: NDArray[np.uint8], long_side: int) -> tuple[FloatArray, FloatArray]:
        """Boxes in the picture's pixels and scores above 0.05, suppressed at IoU 0.65."""
        pixels, scale = letterbox(picture, long_side)
        output = self._session.run(None, {"input": pixels})[0][0]
        boxes, scores = decode_output(output, *pixels.shape[2:])
        keep = suppress(boxes, scores, 0.05, 0.65)
        return boxes[keep] / scale, scores[keep]

    def vote(self, picture: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """Merged boxes and scores: the score-weighted mean of each group of boxes that agree.

        A group's score is the mean of its three best views (of six), so that one view alone does not make a label.
        """
        found_boxes, found_scores, found_views = [], [], []
        width = picture.shape[1]
        for number, long_side in enumerate(LONG_SIDES):
            for mirrored in (False, True):
                boxes, scores = self.look(picture[:, ::-1] if mirrored else picture, long_side)
                if mirrored:
                    boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
                found_boxes.append(boxes)
                found_scores.append(scores)
                found_views.append(np.full(len(boxes), 2 * number + mirrored))
        boxes, scores, views = np.concatenate(found_boxes), np.concatenate(found_scores), np.concatenate(found_views)
        leaders = suppress(boxes, scores, 0.1, 0.55)
        if not len(leaders):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        agree = pairwise_iou(boxes[leaders], boxes)
        agree *= agree == agree.max(0, keepdims=True)
        merged, merged_scores = [], []
        for row in agree:
            members = row > 0.5
            weights = scores[members]
            merged.append((boxes[members] * weights[:, None]).sum(0) / weights.sum())
            best = sorted((weights[views[members] == v].max() for v in np.unique(views[members])), reverse=True)[:3]
            merged_scores.append(sum(best) / 3)
        return np.asarray(merged, np.float32), np.asarray(merged_scores, np.float32)
