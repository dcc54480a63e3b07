"""What the DeepStream engine is made with: one typed section from which every NVIDIA config file is rendered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidstream.config.base import Section

PropertyValue = bool | int | float | str
Precision = Literal["fp32", "fp16", "int8"]
SDK = "/opt/nvidia/deepstream/deepstream"
"""Where DeepStream is installed in NVIDIA's containers (a link to the versioned folder)."""


class SourceElementConfig(Section):
    """nvurisrcbin, one per source."""

    properties: dict[str, PropertyValue] = Field(
        default={}, description="Further properties of nvurisrcbin, set as they are."
    )


class MuxConfig(Section):
    """nvstreammux: the frames of all sources become batches."""

    width: int | None = Field(
        default=None,
        ge=64,
        le=8192,
        description="Width of the batched frames in pixels; none: the largest source's (a camera counts as 1920x1080).",
    )
    height: int | None = Field(default=None, ge=64, le=8192, description="Height of the batched frames in pixels.")
    batch: int | None = Field(default=None, ge=1, le=1024, description="Frames per batch; none: one per source.")
    timeout_us: int = Field(
        default=40_000,
        ge=1,
        description="Microseconds after which an incomplete batch is sent on; about one frame's time.",
    )
    live: bool | None = Field(
        default=None, description="Whether the sources are live; none: true when one is an RTSP or camera address."
    )
    new_mux: bool = Field(
        default=False, description="Use the new nvstreammux, which does not scale: every source keeps its own size."
    )
    properties: dict[str, PropertyValue] = Field(
        default={}, description="Further properties of nvstreammux, set as they are."
    )

    @model_validator(mode="after")
    def _size_is_complete(self) -> MuxConfig:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height belong together: give both or none")
        return self


class PgieConfig(Section):
    """The first nvinfer: finds people in whole frames."""

    preset: Literal["trafficcamnet", "peoplenet", "yolox", "custom"] = Field(
        default="trafficcamnet",
        description=(
            "What kind of detector: TrafficCamNet (ships with DeepStream), PeopleNet (downloaded), "
            "YOLOX, or custom with everything stated here."
        ),
    )
    model: str | None = Field(
        default=None,
        description="ONNX file or manifest name; none: the preset's own place (yolox: the model of [detector]).",
    )
    labels: str | None = Field(
        default=None, description="Labels file, one class name per line; none: the preset's, or written from the model."
    )
    person_class: str = Field(
        default="person",
        min_length=1,
        description="Name of the class that means a person; its number is looked up in the labels.",
    )
    batch: int | None = Field(
        default=None, ge=1, le=1024, description="Frames inferred together; none: the batch of the mux."
    )
    precision: Precision = Field(default="fp16", description="Precision of the TensorRT engine.")
    calibration: str | None = Field(default=None, description="INT8 calibration file.")
    interval: int = Field(default=0, ge=0, le=100, description="Frames skipped between two detections.")
    threshold: float = Field(default=0.2, ge=0, le=1, description="Detections below this score are dropped.")
    cluster: Literal["nms", "dbscan", "hybrid", "none"] = Field(
        default="nms", description="How overlapping boxes are joined."
    )
    nms_iou: float = Field(default=0.5, gt=0, le=1, description="IoU above which the weaker of two boxes is dropped.")
    topk: int = Field(default=100, ge=0, description="Boxes of one class kept per frame.")
    min_width: int = Field(default=0, ge=0, description="Detections narrower than this many mux pixels are dropped.")
    min_height: int = Field(default=0, ge=0, description="Detections lower than this many mux pixels are dropped.")
    unique_id: int = Field(default=1, ge=1, description="gie-unique-id of the detector.")
    input_size: tuple[int, int] | None = Field(
        default=None, description="Height and width of the network's input; none: from the preset or the model."
    )
    scale: float | None = Field(
        default=None, gt=0, description="net-scale-factor; none: from the preset or the model's own description."
    )
    offsets: tuple[float, float, float] | None = Field(
        default=None, description="Subtracted per channel before scaling; none: from the preset or the model."
    )
    color: Literal["RGB", "BGR"] | None = Field(
        default=None, description="Order of the channels; none: from the preset or the model."
    )
    letterbox: bool | None = Field(default=None, description="Keep the aspect ratio and pad; none: only for yolox.")
    parser_library: str | None = Field(
        default=None, description="Shared library with the function that reads the detector's output."
    )
    parser_function: str | None = Field(default=None, description="Name of that function in the library.")
    keys: dict[str, PropertyValue] = Field(
        default={}, description="Further keys of the nvinfer file's [property] group; they win over all others."
    )
    properties: dict[str, PropertyValue] = Field(
        default={}, description="Further properties of the nvinfer element, set as they are."
    )

    @model_validator(mode="after")
    def _parser_is_complete(self) -> PgieConfig:
        if (self.parser_library is None) != (self.parser_function is None):
            raise ValueError("parser_library and parser_function belong together: give both or none")
        return self


class SgieConfig(Section):
    """The second nvinfer: one embedding per person."""

    model: str | None = Field(default=None, description="ONNX file or manifest name; none: the model of [embedding].")
    batch: int | None = Field(
        default=None, ge=1, le=1024, description="Crops inferred together; none: the batch of [embedding]."
    )
    precision: Precision = Field(default="fp16", description="Precision of the TensorRT engine.")
    calibration: str | None = Field(default=None, description="INT8 calibration file.")
    network_type: Literal[100, 1] = Field(
        default=100,
        description=(
            "100: every person is inferred in every frame. 1: once per track, again every reinfer_interval frames "
            "or when the box has grown by a fifth; the frames between carry no embedding."
        ),
    )
    reinfer_interval: int | None = Field(
        default=None, ge=1, le=100_000, description="Frames between two embeddings of a track; network_type 1 only."
    )
    min_width: int = Field(default=16, ge=1, description="People narrower than this many mux pixels are not embedded.")
    min_height: int | None = Field(
        default=None,
        ge=1,
        description="People lower than this many mux pixels are not embedded; none: min_height of [embedding].",
    )
    unique_id: int = Field(default=2, ge=1, description="gie-unique-id; the probe chooses the tensors by it.")
    layer: str | None = Field(
        default=None, description="Name of the output layer that holds the embedding; none: the model's first output."
    )
    keys: dict[str, PropertyValue] = Field(
        default={}, description="Further keys of the nvinfer file's [property] group; they win over all others."
    )
    properties: dict[str, PropertyValue] = Field(
        default={}, description="Further properties of the nvinfer element, set as they are."
    )

    @model_validator(mode="after")
    def _interval_fits(self) -> SgieConfig:
        if self.network_type == 1 and self.reinfer_interval is None:
            raise ValueError(
                "network_type 1 needs reinfer_interval: without it nvinfer embeds each track only once, at its start"
            )
        if self.network_type == 100 and self.reinfer_interval is not None:
            raise ValueError("reinfer_interval has no effect with network_type 100; use network_type 1 or leave it out")
        return self


class NvTrackerConfig(Section):
    """nvtracker and the configuration of its low-level library. Times are those of [tracker], in seconds."""

    library: str = Field(
        default=f"{SDK}/lib/libnvds_nvmultiobjecttracker.so", description="The low-level tracker library."
    )
    preset: Literal["nvdcf_perf", "nvdcf_accuracy", "nvsort", "iou"] = Field(
        default="nvdcf_perf", description="Which tracker the rendered configuration describes."
    )
    config: str | None = Field(
        default=None, description="A low-level configuration of your own; none: one is rendered from the preset."
    )
    width: int = Field(default=960, ge=32, le=4096, description="Width at which the tracker sees frames.")
    height: int = Field(default=544, ge=32, le=4096, description="Height at which the tracker sees frames.")
    fps: float = Field(
        default=30.0, gt=0, le=1000, description="Frames per second of the sources, to turn seconds into frames."
    )
    max_targets: int = Field(default=150, ge=1, le=10_000, description="Targets per source, shadow-tracked included.")
    terminated_tracks: bool = Field(
        default=True, description="Let the tracker say which tracks are over (outputTerminatedTracks)."
    )
    properties: dict[str, PropertyValue] = Field(
        default={}, description="Further properties of nvtracker, set as they are."
    )


class DeepStreamConfig(Section):
    """The engine inside NVIDIA's DeepStream 8.0 container."""

    gpu_id: int = Field(default=0, ge=0, le=63, description="Number of the GPU.")
    folder: str | None = Field(
        default=None, description="Where the rendered files go; none: a folder beside the gallery."
    )
    models: str | None = Field(
        default=None,
        description=(
            "Writable folder to which models are copied first, because nvinfer writes its TensorRT engines beside "
            "the ONNX file; none: the folder in REIDSTREAM_DEEPSTREAM_MODELS, which our image sets, else models stay "
            "where they are."
        ),
    )
    embeddings: Literal["sgie", "tracker"] = Field(
        default="sgie",
        description="Who embeds: a secondary nvinfer, or nvtracker's own Re-ID network (NvDsObjReid).",
    )
    watch: str | None = Field(
        default=None,
        description=(
            "TOML file that lists the cameras; while the run goes on, its changes add and remove cameras, and one that "
            "has ended or was given up is opened again after a minute."
        ),
    )
    metadata: Literal["auto", "pyds", "memory"] = Field(
        default="auto",
        description="How NVIDIA's metadata are read: through pyds, or out of memory, which needs no bindings and has "
        "been checked for DeepStream 8.0 to 9.1; auto: through pyds where it can be imported.",
    )
    crops: bool = Field(default=True, description="Keep JPEG crops of the best samples, cut by NVIDIA's encoder.")
    queue: int = Field(
        default=256,
        ge=1,
        le=65_536,
        description="Frames that may wait for the reader; then files wait and live cameras lose their oldest frame.",
    )
    patience: int = Field(
        default=300,
        ge=1,
        description="Person-frames without a single embedding after which the run stops with the likely causes.",
    )
    source: SourceElementConfig = Field(default=SourceElementConfig(), description="nvurisrcbin.")
    mux: MuxConfig = Field(default=MuxConfig(), description="nvstreammux.")
    pgie: PgieConfig = Field(default=PgieConfig(), description="The detector.")
    tracker: NvTrackerConfig = Field(default=NvTrackerConfig(), description="nvtracker.")
    sgie: SgieConfig = Field(default=SgieConfig(), description="The Re-ID network.")

    @model_validator(mode="after")
    def _ids_differ(self) -> DeepStreamConfig:
        if self.pgie.unique_id == self.sgie.unique_id:
            raise ValueError(f"pgie.unique_id and sgie.unique_id must differ, both are {self.pgie.unique_id}")
        return self
