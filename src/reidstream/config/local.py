"""What the local engine and the tracklets are made with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from reidstream.config.base import Section


class DetectorConfig(Section):
    """Finding people in a frame."""

    model: str = Field(
        default="person-detector", description="Model name from the manifest, or the path of an ONNX file."
    )
    confidence: float = Field(default=0.1, ge=0, le=1, description="Detections below this score are not used at all.")
    nms: float = Field(default=0.65, gt=0, le=1, description="IoU above which the weaker of two boxes is dropped.")
    person_class: str = Field(default="person", description="Name of the class that means a person.")
    shape: Literal["picture", "model"] = Field(
        default="picture",
        description="Shape of the network's input where its graph takes any: that of each source's pictures, with as "
        "many pixels as the model's own, or the model's own.",
    )
    scale: float = Field(
        default=1.0,
        ge=0.25,
        le=8,
        description="How much larger or smaller than the model's own the sides of such an input are: 1.5 finds smaller "
        "people and costs 2.25 times as much.",
    )
    every: int = Field(default=1, ge=1, le=100, description="Detect on every n-th frame, predict motion between.")
    batch: int = Field(default=1, ge=1, le=64, description="Frames of one source detected together.")


class TrackerConfig(Section):
    """Joining boxes to tracks. All times are seconds."""

    high: float = Field(default=0.5, ge=0, le=1, description="Detections at least this sure are matched first.")
    low: float = Field(default=0.1, ge=0, le=1, description="Detections at least this sure may continue a track.")
    start: float = Field(default=0.65, ge=0, le=1, description="Detections at least this sure may start a track.")
    follow_scores: bool = Field(
        default=True,
        description="Where a camera's scores show that its detector is less sure of people than the package's, raise "
        "them before these three are applied.",
    )
    timeout: float = Field(
        default=2.0, gt=0, le=3600, description="Seconds without being seen after which a track ends."
    )
    confirm: float = Field(
        default=0.1,
        ge=0,
        le=60,
        description="Seconds over which a new track must be seen before it is reported.",
    )
    appearance: bool = Field(default=True, description="Use embeddings to decide between candidates.")


class EmbeddingConfig(Section):
    """Which crops are embedded, and with what."""

    model: str = Field(default="person-reid", description="Model name from the manifest, or the path of an ONNX file.")
    batch: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="Largest number of crops embedded together; a GPU always runs that many, and 32 at least.",
    )
    per_track: int = Field(default=8, ge=1, le=64, description="Crops kept per track; better ones replace worse ones.")
    min_height: int = Field(default=32, ge=1, description="People lower than this many pixels are not embedded.")


class TrackletConfig(Section):
    """Turning finished tracks into tracklets."""

    min_observations: int = Field(default=3, ge=1, description="Tracks seen in fewer frames are not stored.")
    min_seconds: float = Field(default=0.0, ge=0, description="Tracks shorter than this are not stored.")
    min_quality: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Tracks whose best crop is worse than this (too hidden, cut off or small) are not stored.",
    )
    still_seconds: float = Field(
        default=10.0,
        gt=0,
        description="What is seen for at least this long, never leaves its place and looks the same all the time is a "
        "thing and not stored. What stays at one place for a shorter time is stored up to three times as long "
        "afterwards, if what comes there next does not show that it was a thing.",
    )
    second_look: bool = Field(
        default=True,
        description="Leave out tracks whose upright pictures are not those of a person, as far as the embedding model "
        "`person-reid` shows it; other models have no second look, and a detector or boxes of one's own are believed.",
    )
    crops: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Pictures kept of each tracklet, at most: the best, and others out of its time. With more, a "
        "gallery that moves to another model loses less where recordings are gone (some 6 KB each).",
    )
    prototypes: int = Field(default=4, ge=1, le=16, description="Typical appearances kept per tracklet, at most.")
    split: bool = Field(default=True, description="Split a track whose embeddings fall into two groups in time.")
    max_seconds: float = Field(
        default=900.0,
        gt=0,
        description="A track longer than this is stored in pieces, so that nothing waits for ever.",
    )


class LocalEngineConfig(Section):
    """The engine that needs no container: PyAV and ONNX Runtime."""

    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Where models run; never falls back silently.")
    decode: Literal["auto", "cpu"] = Field(
        default="auto",
        description="Where video is decoded; auto: on the GPU where models run there and it takes the video; cpu: on "
        "the processor.",
    )
    precision: Literal["fp32", "fp16"] = Field(
        default="fp32",
        description="What the Re-ID model computes in on a GPU; fp16 takes less time there and gives nearly the same "
        "vectors, which are compared with those of fp32 at the start.",
    )
    gpus: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        default=(0,),
        min_length=1,
        description="Numbers of the GPUs that device `cuda` uses, as `nvidia-smi` counts them, or among those that "
        "CUDA_VISIBLE_DEVICES leaves. Sources are spread over processes, and processes over these; "
        "one that is named twice has two processes that run models.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Worker threads for detection; 0: one per core, on a GPU as many as fill its batches.",
    )
    queue: int = Field(default=8, ge=1, le=1024, description="Frames that may wait between two stages.")
    processes: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Processes over which sources are spread; 0: one for every two cores, with a GPU for every eight, "
        "as often as it is named.",
    )

    @model_validator(mode="after")
    def _half_on_a_gpu(self) -> LocalEngineConfig:
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError('precision fp16 is for GPUs (device = "cuda"): processors compute it in fp32 anyway')
        return self

    @property
    def half(self) -> bool:
        """Whether the Re-ID model computes in float16."""
        return self.precision == "fp16"

    def turn(self, place: int) -> LocalEngineConfig:
        """For the process of this place, counted from 0: on its turn of the GPUs alone."""
        return self.model_copy(update={"gpus": (self.gpus[place % len(self.gpus)],)})
