"""What nvinfer does around TensorRT, with ONNX Runtime in its place: crop, scale, normalise, infer, read the boxes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from nvinfer_file import BadConfig, NvinferFile

from reidstream.boxes import non_maximum
from reidstream.inference.yolox_rows import grid

_INTERPOLATION = {
    0: cv2.INTER_NEAREST,
    1: cv2.INTER_LINEAR,
    2: cv2.INTER_CUBIC,
    3: cv2.INTER_AREA,
    4: cv2.INTER_LANCZOS4,
}


class Network:
    """An ONNX model with the preprocessing of an nvinfer file."""

    def __init__(self, file: NvinferFile) -> None:
        onnx = file.file("onnx-file")
        if onnx is None or not onnx.is_file():
            raise BadConfig(f"Failed to create NvDsInferContext instance: no model at {onnx}")
        self.session = open_session(onnx)
        dims = [int(part) for part in file.listed("infer-dims")]
        shape = self.session.get_inputs()[0].shape
        if not dims:
            dims = [int(part) for part in shape[1:]]
        if file.integer("network-input-order", 0) != 0:
            raise BadConfig("this stand-in takes NCHW only")
        for asked, has in zip(dims, shape[1:], strict=True):
            if isinstance(has, int) and asked != has:
                raise BadConfig(f"backend can not support dims:{dims}")
        self.height, self.width = dims[1], dims[2]
        self.batch = file.integer("batch-size", 1)
        self.fixed = shape[0] if isinstance(shape[0], int) else None
        self.outputs = [output.name for output in self.session.get_outputs()]
        self._input = self.session.get_inputs()[0].name
        scale = file.number("net-scale-factor", 1.0)
        self._scale = np.float32(scale if scale > 0 else 1.0)
        offsets = [float(part) for part in file.listed("offsets")] or [0.0, 0.0, 0.0]
        if len(offsets) != 3:
            raise BadConfig("the number of offsets must be that of the channels")
        self._offsets = np.array(offsets, np.float32)
        self._rgb = file.integer("model-color-format", 0) == 0
        self._filter = _INTERPOLATION[file.integer("scaling-filter", 0)]
        self._keep_aspect = bool(file.integer("maintain-aspect-ratio", 0))
        self._centred = bool(file.integer("symmetric-padding", 0))

    def prepared(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], tuple[float, float, float, float]]:
        """Network input float32 (3, h, w) of BGR pixels, and scale x, scale y, left, top of the picture inside it."""
        height, width = pixels.shape[:2]
        inner_w, inner_h, left, top = self.width, self.height, 0, 0
        if self._keep_aspect:
            ratio = min(self.width / width, self.height / height)
            inner_w, inner_h = max(int(width * ratio), 1), max(int(height * ratio), 1)
            if self._centred:
                left, top = (self.width - inner_w) // 2, (self.height - inner_h) // 2
        canvas = np.zeros((self.height, self.width, 3), np.uint8)  # black, where training may have padded with grey
        canvas[top : top + inner_h, left : left + inner_w] = cv2.resize(
            pixels, (inner_w, inner_h), interpolation=self._filter
        )
        ordered = canvas[:, :, ::-1] if self._rgb else canvas
        values = self._scale * (ordered.astype(np.float32) - self._offsets)
        return np.ascontiguousarray(values.transpose(2, 0, 1)), (inner_w / width, inner_h / height, left, top)

    def infer(self, inputs: list[npt.NDArray[np.float32]]) -> list[dict[str, npt.NDArray[np.generic]]]:
        """The outputs of each input, without the batch axis; in batches of batch-size, the last one partial."""
        results: list[dict[str, npt.NDArray[np.generic]]] = []
        step = min(self.batch, self.fixed or self.batch)
        for start in range(0, len(inputs), step):
            part = np.stack(inputs[start : start + step])
            count = len(part)
            if self.fixed is not None and count < self.fixed:
                part = np.concatenate([part, np.zeros((self.fixed - count, *part.shape[1:]), np.float32)])
            outputs = self.session.run(None, {self._input: part})
            results += [dict(zip(self.outputs, (o[i] for o in outputs), strict=True)) for i in range(count)]
        return results


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def open_parser(file: NvinferFile, network: Network) -> DetectorOutput | BlobOutput:
    function = file.text("parse-bbox-func-name").lower()
    if file.integer("num-detected-classes", 0) <= 0:
        raise BadConfig("num-detected-classes is missing")
    if "yolox" in function:
        return DetectorOutput(file, network)
    if "blobs" in function:
        return BlobOutput(file)
    raise BadConfig(f"this stand-in has no parser {function!r}")


class BlobOutput:
    """Boxes of the world of coloured rectangles: the network's output is its input, everything not grey is somebody."""

    def __init__(self, file: NvinferFile) -> None:
        self._threshold = file.class_number(0, "pre-cluster-threshold", 0.2)

    def boxes(
        self,
        output: npt.NDArray[np.float32],
        placed: tuple[float, float, float, float],
        size: tuple[int, int],
    ) -> list[tuple[int, float, tuple[float, float, float, float]]]:
        different = (np.abs(output.transpose(1, 2, 0) - 128).max(axis=2) > 60).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(different)
        scale_x, scale_y, left, top = placed
        return [
            (0, 0.9, ((x - left) / scale_x, (y - top) / scale_y, w / scale_x, h / scale_y))
            for x, y, w, h, area in stats[1:count].tolist()
            if area > 400 and h > 1.2 * w and self._threshold <= 0.9
        ]


class DetectorOutput:
    """Boxes of a YOLOX, where the real element calls parse-bbox-func-name of custom-lib-path."""

    def __init__(self, file: NvinferFile, network: Network) -> None:
        self._file = file
        self._network = network
        self._classes = file.integer("num-detected-classes", 0)
        self._dropped = {int(part) for part in file.listed("filter-out-class-ids")}
        self._corners, self._strides = grid((network.width, network.height))

    def boxes(
        self,
        output: npt.NDArray[np.float32],
        placed: tuple[float, float, float, float],
        size: tuple[int, int],
    ) -> list[tuple[int, float, tuple[float, float, float, float]]]:
        """(class id, confidence, (left, top, width, height) in mux pixels) of one frame."""
        scale_x, scale_y, left, top = placed
        scores = output[:, 4:5] * output[:, 5 : 5 + self._classes]
        centres = (output[:, :2] + self._corners) * self._strides
        sides = np.exp(np.minimum(output[:, 2:4], 10)) * self._strides
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        corners -= np.array([left, top, left, top], np.float32)
        corners /= np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        corners = np.clip(corners, 0, np.array([*size, *size], np.float32))
        found = []
        for class_id in range(self._classes):
            if class_id in self._dropped:
                continue
            threshold = self._file.class_number(class_id, "pre-cluster-threshold", 0.2)
            rows = np.flatnonzero(scores[:, class_id] >= threshold)
            rows = rows[np.argsort(-scores[rows, class_id], kind="stable")]
            topk = int(self._file.class_number(class_id, "topk", -1))
            if self._file.integer("cluster-mode", 0) == 2 and len(rows):
                iou = self._file.class_number(class_id, "nms-iou-threshold", 0.3)
                rows = rows[non_maximum(corners[rows], scores[rows, class_id], iou)]
            if topk >= 0:
                rows = rows[:topk]
            smallest = [self._file.class_number(class_id, f"detected-min-{side}", 0) for side in "wh"]
            for row in rows.tolist():
                x1, y1, x2, y2 = corners[row].tolist()
                if x2 - x1 > max(smallest[0], 1) and y2 - y1 > max(smallest[1], 1):
                    found.append((class_id, float(scores[row, class_id]), (x1, y1, x2 - x1, y2 - y1)))
        return found


def object_crop(pixels: npt.NDArray[np.uint8], rect: tuple[float, float, float, float]) -> npt.NDArray[np.uint8] | None:
    """The pixels that nvinfer hands to a secondary network: left and top rounded up to even, width and height down."""
    height, width = pixels.shape[:2]
    left, top = max(rect[0], 0.0), max(rect[1], 0.0)
    right, bottom = min(rect[0] + rect[2], width), min(rect[1] + rect[3], height)
    x, y = (int(left) + 1) // 2 * 2, (int(top) + 1) // 2 * 2
    w, h = int(right - left) // 2 * 2, int(bottom - top) // 2 * 2
    crop = pixels[y : y + h, x : x + w]
    return crop if crop.size else None
