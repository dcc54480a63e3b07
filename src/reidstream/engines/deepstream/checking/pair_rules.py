"""What a detector's and a Re-ID network's files have to agree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reidstream.engines.deepstream.checking.detector_rules import person_classes
from reidstream.engines.deepstream.checking.file_rules import set_key
from reidstream.engines.deepstream.checking.findings import Finding, Severity
from reidstream.engines.deepstream.checking.inference_file import InferenceFile


def pairs(detectors: Sequence[InferenceFile], secondaries: Sequence[InferenceFile]) -> Iterator[Finding]:
    """Ids and classes between all files that were given together."""
    yield from _unique(list(detectors) + list(secondaries))
    for secondary in secondaries:
        detector = _detector_of(secondary, detectors)
        if detectors and detector is None:
            yield from _unmatched(secondary, detectors)
        yield from _classes(secondary, detector)


def _unique(files: Sequence[InferenceFile]) -> Iterator[Finding]:
    seen: dict[int, InferenceFile] = {}
    for config in files:
        number = config.integer("gie-unique-id")
        if number is None:
            continue
        other = seen.setdefault(number, config)
        if other is not config:
            cause = (
                f"gie-unique-id={number} is also that of {other.file.path.name}: their metadata cannot be told apart"
            )
            line = config.line("gie-unique-id")
            yield Finding(
                config.file.path, line, Severity.ERROR, "unique-id", cause, "give every network its own number"
            )


def _detector_of(secondary: InferenceFile, detectors: Sequence[InferenceFile]) -> InferenceFile | None:
    wanted = secondary.integer("operate-on-gie-id")
    if wanted in (None, -1):
        return detectors[0] if len(detectors) == 1 else None
    return next((config for config in detectors if config.integer("gie-unique-id") == wanted), None)


def _unmatched(secondary: InferenceFile, detectors: Sequence[InferenceFile]) -> Iterator[Finding]:
    wanted = secondary.integer("operate-on-gie-id")
    ids = {config.integer("gie-unique-id") for config in detectors} - {None}
    if wanted in (None, -1) or not ids:
        return
    known = ", ".join(str(number) for number in sorted(number for number in ids if number is not None))
    only = next(iter(ids)) if len(ids) == 1 else None
    yield Finding(
        secondary.file.path,
        secondary.line("operate-on-gie-id"),
        Severity.ERROR,
        "gie-id",
        f"operate-on-gie-id={wanted}, but the detector's gie-unique-id is {known}: nobody is embedded",
        f"set operate-on-gie-id={known}",
        set_key(secondary, "operate-on-gie-id", str(only)) if only is not None else (),
    )


def _classes(secondary: InferenceFile, detector: InferenceFile | None) -> Iterator[Finding]:
    file, key = secondary.file.path, "operate-on-class-ids"
    line = secondary.line(key)
    ids = [int(value) for value in secondary.numbers(key)]
    labels = detector.labels if detector is not None else None
    people = person_classes(labels) if labels is not None else []
    edits = set_key(secondary, key, ";".join(map(str, people))) if people else ()
    if not ids:
        if key in secondary.keys:
            return
        yield Finding(
            file,
            line,
            Severity.WARNING,
            "class-id",
            "operate-on-class-ids is missing: cars and bags are embedded like people",
            f"set operate-on-class-ids={people[0]}" if people else "set it to the number of the person class",
            edits,
        )
        return
    if labels is None:
        yield Finding(
            file,
            line,
            Severity.NOTE,
            "class-id",
            f"whether class {', '.join(map(str, ids))} is the person depends on the detector (2 in TrafficCamNet, "
            "0 in PeopleNet and COCO models), whose labels file is not known here",
            "check it together with the detector's file",
        )
        return
    wrong = [number for number in ids if number >= len(labels) or (people and number not in people)]
    if wrong:
        names = ", ".join(
            f"{number} {labels[number]}" if number < len(labels) else f"{number} none" for number in wrong
        )
        listed = ", ".join(f"{number} {label}" for number, label in list(enumerate(labels))[:8])
        yield Finding(
            file,
            line,
            Severity.ERROR,
            "class-id",
            f"operate-on-class-ids={secondary.text(key)} means {names} in the detector's labels file ({listed})",
            f"set operate-on-class-ids={people[0]}" if people else "choose the class that means a person",
            edits,
        )
