"""What is said about single keys of nvinfer's and nvtracker's files, and what is put in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.engines.deepstream.checking.config_file import ConfigFile, parse_config
from reidstream.engines.deepstream.checking.findings import AddKey, Edit, Finding, RemoveLine, SetLine, Severity
from reidstream.engines.deepstream.checking.fixing import apply_edits, fixed_text
from reidstream.engines.deepstream.checking.inference_file import InferenceFile, Role, is_file, resolved
from reidstream.engines.deepstream.checking.key_rules import nvinfer_keys, nvinfer_name, nvtracker_keys, syntax
from reidstream.engines.deepstream.checking.preprocessing_rules import against_model, numbers
from reidstream.engines.deepstream.checking.reid_rules import crops, embeddings, freshness


def parsed(text: str, name: str = "sgie.txt") -> ConfigFile:
    return parse_config(text.encode(), Path("configs") / name)


def inference(keys: str) -> InferenceFile:
    return InferenceFile(parsed(f"[property]\n{keys}\n"))


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def of_key(line: str, others: str = "") -> Finding:
    """What is said of a key in line 2 of an nvinfer file."""
    return only(list(nvinfer_keys(parsed(f"[property]\n{line}\n{others}"))))


@pytest.mark.parametrize(
    ("text", "name", "cause", "cure"),
    [
        ("[property]\n", "a.yml", "written as a key file, but nvinfer reads it as YAML", "name it .txt"),
        ("property:\n", "a.txt", "written as YAML, but nvinfer reads it as a key file", "name it .yml"),
    ],
)
def test_a_name_that_chooses_the_wrong_parser_is_said_both_ways(text: str, name: str, cause: str, cure: str) -> None:
    finding = only(list(nvinfer_name(parsed(text, name))))
    assert cause in finding.cause
    assert (finding.cure, finding.severity) == (cure, Severity.ERROR)


@pytest.mark.parametrize(("text", "name"), [("[property]\n", "a.txt"), ("property:\n", "a.yaml")])
def test_a_name_that_fits_is_not_mentioned(text: str, name: str) -> None:
    assert list(nvinfer_name(parsed(text, name))) == []


@pytest.mark.parametrize(
    ("line", "edits", "severity"),
    [
        ("is-classifier=1", (SetLine(2, "network-type", "1"),), Severity.WARNING),
        ("is-classifier=0", (SetLine(2, "network-type", "0"),), Severity.WARNING),
        ("uff-input-dims=3;64;32;0", (SetLine(2, "infer-dims", "3;64;32"),), Severity.WARNING),
        ("input-dims=3;64;32;0", (SetLine(2, "infer-dims", "3;64;32"),), Severity.WARNING),
        ("force-implicit-batch-dim=1", (RemoveLine(2),), Severity.WARNING),
        ("uff-file=a.uff", (), Severity.ERROR),
    ],
)
def test_a_key_of_old_versions_becomes_the_one_of_today(line: str, edits: tuple[Edit, ...], severity: Severity) -> None:
    finding = of_key(line)
    assert (finding.code, finding.line, finding.edits, finding.severity) == ("legacy-key", 2, edits, severity)


@pytest.mark.parametrize(("value", "mode"), [("1", "1"), ("0", "2")])
def test_an_old_choice_of_clustering_becomes_its_number(value: str, mode: str) -> None:
    finding = of_key(f"enable-dbscan={value}")
    assert finding.edits == (SetLine(2, "cluster-mode", mode),)


def test_an_old_key_goes_where_the_new_one_is_there_already() -> None:
    assert of_key("is-classifier=1", "network-type=100").edits == (RemoveLine(2),)


@pytest.mark.parametrize(
    ("line", "cure", "edits"),
    [
        ("network-mode=fp16", "write 2", (SetLine(2, "network-mode", "2"),)),
        ("network-mode=7", "correct the value; nvinfer stops at this line", ()),
        ("gpu-id=first", "correct the value; nvinfer stops at this line", ()),
    ],
)
def test_a_wrong_value_is_set_right_only_where_it_is_clear_what_was_meant(
    line: str, cure: str, edits: tuple[Edit, ...]
) -> None:
    finding = of_key(line)
    assert (finding.code, finding.cure, finding.edits) == ("value", cure, edits)


def test_a_key_of_a_class_moves_to_its_group_and_back() -> None:
    assert of_key("topk=5").edits == (RemoveLine(2), AddKey("class-attrs-all", "topk", "5"))
    moved = only(list(nvinfer_keys(parsed("[class-attrs-all]\nbatch-size=5\n"))))
    assert moved.edits == (RemoveLine(2), AddKey("property", "batch-size", "5"))
    assert moved.code == "misplaced-key"


@pytest.mark.parametrize(
    ("line", "cure", "edits"),
    [
        ("unique-id=3", "use gie-unique-id", (SetLine(2, "gie-unique-id", "3"),)),
        ("infer-on-class-ids=0:2", "use operate-on-class-ids", (SetLine(2, "operate-on-class-ids", "0;2"),)),
        ("infer-on-gie-id=1:2", "use operate-on-gie-id", (SetLine(2, "operate-on-gie-id", "1:2"),)),
        ("strongly-typed=1", "leave it for DeepStream 9", ()),
        ("enable=1", "remove it here", (RemoveLine(2),)),
    ],
)
def test_a_key_from_elsewhere_is_renamed_left_or_removed(line: str, cure: str, edits: tuple[Edit, ...]) -> None:
    finding = of_key(line)
    assert (finding.code, finding.cure, finding.edits) == ("misplaced-key", cure, edits)


@pytest.mark.parametrize(
    ("line", "cure", "edits"),
    [
        ("Batch_Size=4", "did you mean batch-size?", (SetLine(2, "batch-size", "4"),)),
        ("batch-sise=4", "did you mean batch-size?", ()),
        ("zzzz=4", "remove it, or look for the right name in docs/deepstream-details.md", ()),
        # The right name is one of the other group: it cannot simply be renamed here.
        ("TopK=4", "did you mean topk?", ()),
    ],
)
def test_an_unknown_key_is_renamed_only_where_its_spelling_alone_is_wrong(
    line: str, cure: str, edits: tuple[Edit, ...]
) -> None:
    finding = of_key(line)
    assert (finding.code, finding.cure, finding.edits) == ("unknown-key", cure, edits)


@pytest.mark.parametrize(
    ("group", "cause", "cure"),
    [
        ("Property", "does not know a group", "call it property"),
        ("class-attr-all", "does not know a group", "call it class-attrs-all"),
        ("streammux", "is a group of a deepstream-app file", "check the files that its config-file keys name"),
        ("sink0", "is a group of a deepstream-app file", "check the files that its config-file keys name"),
        ("weather", "does not know a group", "move its keys to [property]"),
    ],
)
def test_an_unknown_group_is_explained(group: str, cause: str, cure: str) -> None:
    finding = only(list(nvinfer_keys(parsed(f"[property]\n[{group}]\nkey=1\n"))))
    assert (finding.code, finding.line, finding.cure) == ("unknown-group", 2, cure)
    assert cause in finding.cause


def test_groups_of_classes_are_known() -> None:
    assert list(nvinfer_keys(parsed("[property]\n[class-attrs-all]\n[class-attrs-12]\ntopk=3\n"))) == []


def tracker(text: str) -> list[Finding]:
    return list(nvtracker_keys(parsed(text, "tracker.yml")))


def test_a_tracker_key_moves_only_where_one_section_alone_has_it() -> None:
    alone = only(tracker("ReID:\n  probationAge: 3\n"))
    assert alone.edits == (RemoveLine(2), AddKey("TargetManagement", "probationAge", "3"))
    several = only(tracker("ReID:\n  minMatchingScore4Overall: 0.3\n"))
    assert (several.code, several.edits) == ("misplaced-key", ())
    assert "TrajectoryManagement or DataAssociator" in several.cause


@pytest.mark.parametrize(
    ("key", "cure", "edits"),
    [
        ("probation_age", "did you mean probationAge?", (SetLine(2, "probationAge", "3"),)),
        ("probationAges", "did you mean probationAge?", ()),
        ("zzzz", "look for the right name in the guide of your version", ()),
        # A name of another section: nothing says that the section is right.
        ("stateestimatortype", "did you mean stateEstimatorType?", ()),
    ],
)
def test_an_unknown_tracker_key_is_renamed_only_where_its_spelling_alone_is_wrong(
    key: str, cure: str, edits: tuple[Edit, ...]
) -> None:
    finding = only(tracker(f"TargetManagement:\n  {key}: 3\n"))
    assert (finding.code, finding.cure, finding.edits) == ("unknown-key", cure, edits)


def test_a_tracker_value_is_looked_at_and_a_right_one_is_not_mentioned() -> None:
    finding = only(tracker("TargetManagement:\n  probationAge: soon\n  maxTargetsPerStream: 10\n"))
    assert (finding.code, finding.line, finding.severity) == ("value", 2, Severity.ERROR)


def test_an_unknown_tracker_section_is_named_and_its_keys_are_not_looked_at() -> None:
    finding = only(tracker("TargetsManagement:\n  zzzz: 3\n"))
    assert (finding.code, finding.cure) == ("unknown-group", "did you mean TargetManagement?")
    assert only(tracker("Zzzz:\n  a: 3\n")).cure.startswith("it knows BaseConfig")


def test_flaws_of_the_writing_become_findings_with_their_cures() -> None:
    found = list(syntax(parsed("[property]\n; gone\na=1 # said\nwords\na=2\n")))
    assert [(finding.code, finding.line, finding.severity) for finding in found] == [
        ("syntax", 2, Severity.ERROR),
        ("syntax", 3, Severity.ERROR),
        ("syntax", 4, Severity.ERROR),
        ("repeated-key", 3, Severity.WARNING),
    ]
    assert [finding.edits for finding in found] == [(RemoveLine(2),), (SetLine(3, "a", "1"),), (), (RemoveLine(3),)]
    assert only(list(syntax(parsed("gpu-id: 0\n", "a.yml")))).severity is Severity.WARNING


def test_edits_reach_the_first_and_the_last_line_and_none_beyond() -> None:
    file = parsed("a=1\nb=2")
    assert apply_edits(file, [RemoveLine(1)]) == "b=2"
    assert apply_edits(file, [SetLine(2, "b", "3")]) == "a=1\nb=3"
    assert apply_edits(file, [RemoveLine(0), RemoveLine(3), RemoveLine(-1)]) == "a=1\nb=2"


def test_of_several_edits_of_a_line_or_key_the_first_wins() -> None:
    file = parsed("[p]\na=1\n")
    assert apply_edits(file, [RemoveLine(2), SetLine(2, "a", "5")]) == "[p]\n"
    assert apply_edits(file, [AddKey("p", "b", "1"), AddKey("p", "b", "2")]) == "[p]\na=1\nb=1\n"
    assert apply_edits(file, [AddKey("p", "a", "2")]) == "[p]\na=1\n"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("[p]\na=1\n[q]\n", "a.txt", "[p]\na=1\nk=v\n[q]\n"),
        ("[p]\n[q]\nb=1\n", "a.txt", "[p]\nk=v\n[q]\nb=1\n"),
        ("[q]\nb=1", "a.txt", "[q]\nb=1\n\n[p]\nk=v"),
        ("[q]\nb=1\n", "a.txt", "[q]\nb=1\n\n[p]\nk=v"),
        ("p:\n  a: 1\nq:\n  b: 2\n", "a.yml", "p:\n  a: 1\n  k: v\nq:\n  b: 2\n"),
        ("q:\n  b: 2", "a.yml", "q:\n  b: 2\n\np:\n  k: v"),
    ],
)
def test_a_key_is_added_behind_the_last_of_its_group_or_in_a_new_one(text: str, name: str, expected: str) -> None:
    assert apply_edits(parsed(text, name), [AddKey("p", "k", "v")]) == expected


def test_a_key_comes_in_the_place_of_the_last_of_its_group_when_that_goes() -> None:
    assert apply_edits(parsed("[p]\na=1\n[q]\n"), [RemoveLine(2), AddKey("p", "k", "v")]) == "[p]\nk=v\n[q]\n"


def test_cures_are_applied_until_none_is_left() -> None:
    def check(file: ConfigFile) -> list[Finding]:
        """Counts a up to 3, one at a time."""
        entry = file.group("p")["a"]
        edits = (SetLine(entry.line, "a", str(int(entry.value) + 1)),) if int(entry.value) < 3 else ()
        return [Finding(file.path, entry.line, Severity.NOTE, "value", "", "", edits)]

    assert fixed_text(parsed("[p]\na=1\n"), check) == "[p]\na=3\n"


@pytest.mark.parametrize(
    ("keys", "role"),
    [
        ("", "detector"),
        ("process-mode=1", "detector"),
        ("process-mode=2", "reid"),
        ("operate-on-gie-id=1", "reid"),
        ("operate-on-class-ids=0", "reid"),
        ("secondary-reinfer-interval=3", "reid"),
        ("classifier-async-mode=1", "reid"),
        ("process-mode=2\nlabelfile-path=l.txt", "classifier"),
        ("process-mode=2\nnum-detected-classes=4", "classifier"),
        ("process-mode=2\nlabelfile-path=l.txt\noutput-tensor-meta=1", "reid"),
        ("infer-dims=3;256;128", "reid"),
        ("infer-dims=3;192;128", "reid"),
        ("infer-dims=3;191;128", "detector"),
        ("infer-dims=256;128", "detector"),
        ("infer-dims=3;256;128\nlabelfile-path=l.txt", "detector"),
        ("infer-dims=3;256;128\n[class-attrs-all]\ntopk=3", "detector"),
        ("network-type=100", "reid"),
        ("network-type=0", "detector"),
        ("network-type=100\nnum-detected-classes=2", "detector"),
    ],
)
def test_what_a_network_is_for_is_known_by_its_keys(keys: str, role: Role) -> None:
    assert inference(keys).role == role


def test_values_that_cannot_be_read_count_as_not_given() -> None:
    read = inference("batch-size=x\nnet-scale-factor=0.5\noffsets=1;x;3\noutput-tensor-meta=perhaps\nonnx-file=")
    assert (read.integer("batch-size"), read.number("net-scale-factor"), read.numbers("offsets")) == (None, 0.5, [])
    assert (read.truth("output-tensor-meta"), read.truth("absent"), read.path("onnx-file")) == (False, False, None)
    assert (read.line("net-scale-factor"), read.line("absent")) == (3, 1)
    assert (read.text("batch-size"), read.text("absent")) == ("x", "")
    assert inference("offsets=1;2;3").numbers("offsets") == [1, 2, 3]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [("", 0), ("is-classifier=1", 1), ("network-type=100\nis-classifier=1", 100), ("is-classifier=0", 0)],
)
def test_the_type_of_a_network_may_be_said_in_the_old_way(keys: str, kind: int) -> None:
    assert inference(keys).network_type == kind


def test_paths_count_from_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "sgie.txt").touch()
    assert resolved(tmp_path / "sgie.txt", "a.onnx") == tmp_path.resolve() / "a.onnx"
    assert resolved(tmp_path / "sgie.txt", "/a.onnx") == Path("/a.onnx")
    assert is_file(tmp_path / "sgie.txt")
    assert not is_file(Path("n" * 5000))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "missing, and nvinfer's default is nearest neighbour"),
        ("scaling-filter=6", "6, nearest neighbour"),
        ("scaling-filter=0", "0, "),
    ],
)
def test_the_filter_that_makes_crops_jagged_is_called_by_its_name(value: str, said: str) -> None:
    (finding,) = [finding for finding in crops(inference(value)) if finding.code == "nearest-scaling"]
    assert f"scaling-filter is {said}" in finding.cause


@pytest.mark.parametrize(
    ("key", "people"), [("input-object-min-width=80", "200 pixels tall"), ("input-object-min-height=200", "200 pixels")]
)
def test_the_smallest_person_is_told_in_pixels_of_height(key: str, people: str) -> None:
    (finding,) = [finding for finding in crops(inference(key)) if finding.code == "min-object-size"]
    assert f"people below about {people} (" in finding.cause
    name = key.partition("=")[0]
    assert finding.edits == (SetLine(2, name, "16" if "width" in name else "32"),)


@pytest.mark.parametrize("side", ["width", "height"])
@pytest.mark.parametrize(("low", "high", "nobody"), [(20, 19, True), (20, 20, False), (20, 0, False), (0, 10, False)])
def test_a_largest_size_below_the_smallest_leaves_nobody(side: str, low: int, high: int, nobody: bool) -> None:
    keys = f"input-object-min-{side}={low}\ninput-object-max-{side}={high}"
    assert ("max-object-size" in {finding.code for finding in crops(inference(keys))}) is nobody


def test_what_keeps_embeddings_from_coming_out_says_whether_it_is_given() -> None:
    missing = {finding.code: finding.cause for finding in embeddings(inference(""))}
    given = {
        finding.code: finding.cause
        for finding in embeddings(inference("process-mode=1\nnetwork-type=0\noutput-tensor-meta=0"))
    }
    assert missing.keys() == given.keys() == {"process-mode", "network-type", "output-tensor-meta"}
    assert all("missing" in cause for cause in missing.values())
    assert not any("missing" in cause for cause in given.values())
    assert list(embeddings(inference("process-mode=2\nnetwork-type=1\noutput-tensor-meta=1"))) == []


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("network-type=1\nclassifier-async-mode=1\nsecondary-reinfer-interval=5", ["async-mode"]),
        ("network-type=1", ["embedded-once"]),
        ("network-type=1\nsecondary-reinfer-interval=5", []),
        ("network-type=1\nsecondary-reinfer-interval=0", ["interval-ignored"]),
        ("network-type=100\nsecondary-reinfer-interval=0", ["interval-ignored"]),
        ("network-type=100", []),
        ("network-type=100\ninterval=0", []),
        ("network-type=100\ninterval=1", ["interval-ignored"]),
    ],
)
def test_what_makes_embeddings_old_is_found(keys: str, found: list[str]) -> None:
    assert [finding.code for finding in freshness(inference(keys))] == found


@pytest.mark.parametrize(
    ("keys", "found", "edits"),
    [
        ("offsets=1;2;3", [], ()),
        ("offsets=1;2", ["offsets-count"], ()),
        ("offsets=1;1", ["offsets-count"], (SetLine(2, "offsets", "1;1;1"),)),
        ("offsets=1;2;3\nmodel-color-format=2", ["offsets-count"], ()),
        ("offsets=1\nmodel-color-format=2", [], ()),
        ("net-scale-factor=0", ["scale-ignored"], (RemoveLine(2),)),
        ("net-scale-factor=-1", ["scale-ignored"], (RemoveLine(2),)),
        ("net-scale-factor=0.5", [], ()),
    ],
)
def test_numbers_that_nvinfer_refuses_or_ignores_are_found(
    keys: str, found: list[str], edits: tuple[Edit, ...]
) -> None:
    findings = list(numbers(inference(keys)))
    assert [finding.code for finding in findings] == found
    assert all(finding.edits == edits for finding in findings)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("", "preprocessing-unknown"),
        ("net-scale-factor=1", "preprocessing-unknown"),
        ("net-scale-factor=0", "preprocessing-unknown"),
        ("offsets=1;2;3", "preprocessing"),
        ("net-scale-factor=0.5", "preprocessing"),
        ("net-scale-factor=0.0173520735\noffsets=123.675;116.28;103.53", ""),
        ("net-scale-factor=0.0173520735\noffsets=123.675;116.28;93", "preprocessing"),
        ("net-scale-factor=0.0173520735\noffsets=123.675;116.28", "preprocessing"),
        ("net-scale-factor=x", ""),
    ],
)
def test_an_osnet_that_nothing_describes_is_compared_with_what_it_is_trained_on(keys: str, code: str) -> None:
    findings = list(against_model(inference(f"process-mode=2\nonnx-file=models/OSNet_x0_25.onnx\n{keys}")))
    assert [finding.code for finding in findings] == ([code] if code else [])


@pytest.mark.parametrize("keys", ["process-mode=2", "process-mode=1\nonnx-file=osnet.onnx"])
def test_without_a_model_or_for_a_detector_nothing_is_said_of_its_numbers(keys: str) -> None:
    assert list(against_model(inference(keys))) == []


def test_another_network_that_nothing_describes_may_have_numbers_of_its_own() -> None:
    assert list(against_model(inference("process-mode=2\nonnx-file=osnet/mine.onnx\nnet-scale-factor=0.5"))) == []
