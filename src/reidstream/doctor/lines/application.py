"""Known lines of NVIDIA's reference application deepstream-app and of the programs made from it."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_CHECK = "`reidstream deepstream check FILES…` names the line"

APPLICATION_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "app-unknown-key",
        "deepstream-app",
        r"Unknown (key|param) '[^']*' for (group|tracker|tiler|osd|sink|source)|"
        r"<parse_\w+:\d+>:? ?Unknown (key|group)|Unknown group '",
        "deepstream-app does not know the key in that group of its own file and goes on without it.",
        f"Remove it, or correct the name (enable-batch-process and enable-past-frame are gone); {_CHECK}.",
        "** WARN: <parse_tracker:1604>: Unknown key 'enable-batch-process' for group [tracker]",
    ),
    KnownLine(
        "app-good-run",
        "deepstream-app",
        r"App run successful|\*\* ?INFO: <bus_callback|\*\*PERF:|Pipeline (ready|running)$|"
        r"Received EOS\. Exiting",
        "What deepstream-app says in a good run.",
        "Nothing has to be done.",
        "App run successful",
        harmless=True,
    ),
    KnownLine(
        "app-run-failed",
        "deepstream-app",
        r"App run failed|Failed to set pipeline to (PAUSED|PLAYING)|create_pipeline failed|Failed to create pipeline|"
        r"<create_\w+:\d+>:? ?\w*create_\w+ failed",
        "The last word of a run that an earlier error ended; it says nothing by itself.",
        "Look for the first error above, or give the whole log to this command.",
        "App run failed",
    ),
    KnownLine(
        "app-element",
        "deepstream-app",
        r"Failed to create element '|Failed to create '(primary_gie|secondary_gie|tracker|src_\w+|sink_\w+|\w+_bin\w*)",
        "deepstream-app could not make that element: a plugin is missing, did not load, or its library did not.",
        "`gst-inspect-1.0 NAME` shows why; remove ~/.cache/gstreamer-1.0 first, and look for libraries that "
        "are missing.",
        "** ERROR: <create_multi_source_bin:1423>: Failed to create element 'src_bin_muxer'",
    ),
    KnownLine(
        "app-parse",
        "deepstream-app",
        r"<parse_\w+:\d+>:? ?\w* ?failed|parse_config_file failed|Failed to parse config file|"
        r"Error while parsing (the )?config(uration)? file|Failed to load (config|uri)",
        "A file of the application cannot be read: not there, no such group, or a value of the wrong kind.",
        f"Paths count from the folder of the file that names them; {_CHECK}.",
        "** ERROR: <main:1519>: Failed to parse config file 'deepstream_app.txt'",
    ),
)
