"""What a run says while it goes on where no terminal redraws it."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from rich.progress import Progress

from reidstream.cli.progress import RunProgress, progress_lines
from reidstream.cli.terminal import TerminalConsole
from reidstream.pipeline import RunSummary, SourceSummary
from reidstream.pipeline.summary import SourceState

NOW = 1_769_878_800.0


def camera(name: str, processed: int, seen: float, **more: object) -> SourceSummary:
    summary = SourceSummary(name, state=SourceState.RUNNING, live=True, processed=processed, seen_wall=seen)
    # As with max_fps: the index counts every frame of the camera.
    summary.frames = 10 * processed
    for key, value in more.items():
        setattr(summary, key, value)
    return summary


def test_lines_carry_time_camera_and_the_rate_since_the_last() -> None:
    sources = [camera("entrance", 400, NOW - 0.1, dropped=3), camera("yard", 160, NOW - 42, tracklets=2)]
    summary = RunSummary({s.source: s for s in sources}, tracklets=2, people=1)
    lines = progress_lines(summary, {"entrance": 360, "yard": 160}, 10.0, 100.0, NOW)
    clock = datetime.fromtimestamp(NOW).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert lines == [
        f"{clock} 560 frames, 6 frames/s, 2 tracklets of 1 people so far, 0 in view, 3 dropped",
        f"{clock} entrance: 4.0 frames/s, 0 tracklets, 3 dropped",
        f"{clock} yard: 0.0 frames/s, 2 tracklets, nothing for 42 s",
    ]


def test_files_have_one_line_and_the_time_that_is_left() -> None:
    source = SourceSummary("a", state=SourceState.RUNNING, frames=50, processed=50, expected=100)
    (line,) = progress_lines(RunSummary({"a": source}), {}, 10.0, 10.0, NOW)
    assert line.endswith("5 frames/s, 0 tracklets of 0 people so far, 0 in view, 10 s left")


@pytest.mark.parametrize("force", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_there_is_never_a_bar_outside_a_terminal(
    force: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(force, "1")
    with RunProgress(RunSummary({"a": SourceSummary("a")})):
        pass
    for shown in (TerminalConsole(), TerminalConsole(stderr=True)):
        with Progress(console=shown, disable=not shown.is_terminal) as bars:
            bars.update(bars.add_task("work", total=3), completed=2)
        shown.print("done", style="red")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done\n", "done\n")


def test_a_terminal_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with RunProgress(RunSummary({"door": SourceSummary("door", expected=9)})):
        pass
    assert "door" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
