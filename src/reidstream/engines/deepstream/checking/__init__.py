"""Checking nvinfer and nvtracker files: every flaw with its line, cause and cure, and a corrected copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reidstream.engines.deepstream.checking import (
    application_rules,
    detector_rules,
    file_rules,
    key_rules,
    other_files,
    preprocessing_rules,
    reid_rules,
    tracker_rules,
)
from reidstream.engines.deepstream.checking.config_file import ConfigFile, read_config_file
from reidstream.engines.deepstream.checking.findings import Finding, Severity
from reidstream.engines.deepstream.checking.fixing import fixed_text
from reidstream.engines.deepstream.checking.inference_file import InferenceFile
from reidstream.engines.deepstream.checking.pair_rules import pairs
from reidstream.engines.deepstream.keys.nvtracker import SECTIONS

_FILES: tuple[Callable[[InferenceFile], Iterator[Finding]], ...] = (
    file_rules.missing_files,
    file_rules.model,
    file_rules.engine,
    file_rules.precision,
    preprocessing_rules.numbers,
    detector_rules.class_groups_of_others,
)
_REID = (
    reid_rules.embeddings,
    reid_rules.freshness,
    reid_rules.crops,
    reid_rules.identifiers,
    reid_rules.batching,
    preprocessing_rules.against_model,
)
_DETECTOR = (detector_rules.detector, preprocessing_rules.against_model)
_TRACKER = (key_rules.nvtracker_keys, tracker_rules.track_ends, tracker_rules.reid, tracker_rules.estimator)


def check_files(paths: Sequence[Path]) -> list[Finding]:
    """Everything wrong with these files, alone and together, in the order of files and lines.

    Raises ConfigError when a file cannot be read at all.
    """
    return check_parsed([read_config_file(path) for path in paths])


def check_parsed(files: Sequence[ConfigFile]) -> list[Finding]:
    """The same for files that were read already."""
    findings: list[Finding] = []
    networks: list[InferenceFile] = []
    for file in files:
        element = other_files.other_element(file)
        if element is not None:
            findings.append(_of_another(file, element))
            continue
        findings += key_rules.syntax(file)
        if other_files.is_of_mux(file):
            findings += other_files.mux(file)
        elif file.group_line("property"):
            network = InferenceFile(file)
            networks.append(network)
            findings += _check_network(network)
        elif application_rules.is_application(file):
            findings += application_rules.application(file)
        elif file.group_line("tracker"):
            findings += tracker_rules.properties(file)
        elif any(name in SECTIONS for name, _ in file.groups):
            findings += [finding for rule in _TRACKER for finding in rule(file)]
        else:
            findings.append(_not_a_config(file))
    detectors = [network for network in networks if network.role == "detector"]
    findings += pairs(detectors, [network for network in networks if network.role == "reid"])
    order = {file.path: number for number, file in enumerate(files)}
    return sorted(findings, key=lambda finding: (order[finding.file], finding.line))


def corrected(files: Sequence[ConfigFile], index: int) -> str:
    """The text of one of the files with every certain cure applied, the others taken as they are."""
    wanted = files[index]

    def check(file: ConfigFile) -> list[Finding]:
        together = [*files[:index], file, *files[index + 1 :]]
        return [finding for finding in check_parsed(together) if finding.file == wanted.path]

    return fixed_text(wanted, check)


def _check_network(network: InferenceFile) -> Iterator[Finding]:
    yield from key_rules.nvinfer_name(network.file)
    found = list(key_rules.nvinfer_keys(network.file))
    yield from found
    # What a value that cannot be read leads to is no flaw of its own.
    unread = {finding.line for finding in found if finding.code == "value"}
    rules = _FILES + (_REID if network.role == "reid" else _DETECTOR if network.role == "detector" else ())
    for rule in rules:
        yield from (finding for finding in rule(network) if finding.line not in unread)


_CURE = "give the files of nvinfer (config-file-path) and nvtracker (ll-config-file)"


def _of_another(file: ConfigFile, element: str) -> Finding:
    cause = f"this is a file of {element}, which has keys of its own; they are not checked"
    return Finding(file.path, file.group_line("property"), Severity.ERROR, "not-a-config", cause, _CURE)


def _not_a_config(file: ConfigFile) -> Finding:
    found = ", ".join(name for name, _ in file.groups[:8])
    cause = "there is no [property] group, and none of the tracker's sections" + (f", only {found}" if found else "")
    return Finding(file.path, 0, Severity.ERROR, "not-a-config", cause, _CURE)


__all__ = ["Finding", "Severity", "check_files", "check_parsed", "corrected"]
