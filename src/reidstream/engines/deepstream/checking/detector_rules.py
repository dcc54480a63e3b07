"""What keeps a detector from finding people, or from being read at all."""

from __future__ import annotations

from collections.abc import Iterator

from reidstream.engines.deepstream.checking.file_rules import set_key
from reidstream.engines.deepstream.checking.findings import Finding, RemoveLine, SetLine, Severity
from reidstream.engines.deepstream.checking.inference_file import InferenceFile

PERSON_NAMES = ("person", "people", "pedestrian", "human")


def person_classes(labels: tuple[str, ...]) -> list[int]:
    """The numbers of classes whose name means a person."""
    return [number for number, label in enumerate(labels) if label.strip().casefold() in PERSON_NAMES]


def detector(config: InferenceFile) -> Iterator[Finding]:
    """Class counts, labels, clustering and the reading of the output."""
    file = config.file.path
    if "gie-unique-id" not in config.keys:
        cause = "gie-unique-id is missing: nvinfer stops with 'Unique ID not set'"
        edits = set_key(config, "gie-unique-id", "1")
        line = config.line("gie-unique-id")
        yield Finding(file, line, Severity.ERROR, "unique-id", cause, "set gie-unique-id=1", edits)
    if config.network_type not in (0, 3):
        return
    count, labels = config.integer("num-detected-classes"), config.labels
    line = config.line("num-detected-classes")
    if count is None:
        known = () if labels is None else set_key(config, "num-detected-classes", str(len(labels)))
        cause = "num-detected-classes is missing; a detector needs it"
        cure = f"set num-detected-classes={len(labels)}" if labels else "set it to the number of classes"
        yield Finding(file, line, Severity.ERROR, "class-count", cause, cure, known)
    elif labels is not None and len(labels) != count:
        yield Finding(
            file,
            line,
            Severity.ERROR,
            "class-count",
            f"num-detected-classes={count}, but the labels file has {len(labels)} names ({', '.join(labels[:6])})",
            "use the labels file of this model, and its number of classes",
        )
    for name, group_line in config.file.groups:
        suffix = name.removeprefix("class-attrs-")
        if suffix == name or suffix == "all":
            continue
        if not suffix.isdecimal():
            cause, cure = f"[{name}] must end in all or a class number", "call it [class-attrs-all]"
            yield Finding(file, group_line, Severity.ERROR, "class-group", cause, cure)
        elif count is not None and int(suffix[:9]) >= count:
            cause = f"[{name}] is beyond num-detected-classes={count}, and nvinfer stops"
            yield Finding(file, group_line, Severity.ERROR, "class-group", cause, "remove it, or correct the number")
    if labels is not None and not person_classes(labels):
        cause = f"no class of the labels file means a person: {', '.join(labels[:10])}"
        cure = "use a detector of people, or name the class in deepstream.pgie.person_class"
        yield Finding(file, config.line("labelfile-path"), Severity.WARNING, "no-person-class", cause, cure)
    yield from _filtered(config, person_classes(labels or ()))
    if config.integer("cluster-mode") in (None, 0):
        yield Finding(
            file,
            config.line("cluster-mode"),
            Severity.WARNING,
            "cluster-mode",
            "cluster-mode 0 (the default) needs OpenCV, without which nvinfer takes NMS with 20 boxes and IoU 0.5",
            "set cluster-mode=2 and its nms-iou-threshold and topk",
            set_key(config, "cluster-mode", "2"),
        )
    spec = config.spec
    if spec is not None and spec.family == "yolox" and not config.text("parse-bbox-func-name"):
        yield Finding(
            file,
            config.line("parse-bbox-func-name"),
            Severity.ERROR,
            "no-parser",
            f"{spec.name} is a YOLOX, whose output nvinfer cannot read by itself: it finds nobody",
            "set custom-lib-path and parse-bbox-func-name to a parser for it",
        )


def _filtered(config: InferenceFile, people: list[int]) -> Iterator[Finding]:
    dropped = [int(value) for value in config.numbers("filter-out-class-ids")]
    if not set(people) & set(dropped):
        return
    line = config.line("filter-out-class-ids")
    left = ";".join(str(number) for number in dropped if number not in people)
    yield Finding(
        config.file.path,
        line,
        Severity.ERROR,
        "person-filtered",
        f"filter-out-class-ids={config.text('filter-out-class-ids')} drops class {people[0]}, which is the person",
        f"write filter-out-class-ids={left}" if left else "remove it",
        (SetLine(line, "filter-out-class-ids", left),) if left else (RemoveLine(line),),
    )


def class_groups_of_others(config: InferenceFile) -> Iterator[Finding]:
    """[class-attrs-*] where no detector reads them."""
    if config.network_type in (0, 3):
        return
    for name, line in config.file.groups:
        if name.startswith("class-attrs-"):
            cause = f"[{name}] is read for detectors only and has no effect here"
            yield Finding(config.file.path, line, Severity.NOTE, "class-group", cause, "remove it")
