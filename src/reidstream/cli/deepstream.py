"""``reidstream deepstream``: NVIDIA's configuration files, written and checked, and the engines, built."""

from __future__ import annotations

from pathlib import Path

import typer

from reidstream.cli.deepstream_selftest import selftest_command
from reidstream.cli.options import CONFIG, JSON, SETTINGS

app = typer.Typer(
    help="Configuration files of DeepStream, written and checked, and its engines.\n\n"
    "Example: reidstream deepstream config configs/",
    no_args_is_help=True,
)

app.command("selftest")(selftest_command)


@app.command("config")
def config_command(
    folder: Path = typer.Argument(..., help="Folder for the files; made if it is missing."),
    config: Path | None = CONFIG,
    override: list[str] | None = SETTINGS,
    as_json: bool = JSON,
) -> None:
    """Write the nvinfer, nvtracker and pipeline files from the configuration.

    Example: reidstream deepstream config configs/ --set deepstream.sgie.precision=fp32
    """
    from reidstream.cli.common import console, print_json
    from reidstream.config import load_config
    from reidstream.engines.deepstream.files.nvinfer_config import render_configs

    rendered = render_configs(load_config(config, override or []), folder)
    if as_json:
        print_json(
            {
                "files": [str(path) for path in rendered.files],
                "person_class_id": rendered.person_class_id,
                "labels": rendered.labels,
                "layer": rendered.layer,
                "embedding_size": rendered.embedding_size,
                "engines": {"pgie": str(rendered.pgie_engine), "reid": str(rendered.reid_engine)},
                "elements": rendered.elements,
                "warnings": rendered.warnings,
            }
        )
        return
    out = console()
    for path in rendered.files:
        out.print(f"wrote {path}", markup=False)
    person = rendered.labels[rendered.person_class_id]
    out.print(f"persons are class {rendered.person_class_id} ({person}) of {len(rendered.labels)}", markup=False)
    for warning in rendered.warnings:
        out.print(f"warning: {warning}", markup=False, style="yellow")


@app.command("check")
def check_command(
    files: list[Path] = typer.Argument(..., help="nvinfer and nvtracker files, INI or YAML; together if they belong."),
    fix: bool = typer.Option(False, "--fix", help="Write a corrected copy beside each file and show the difference."),
    as_json: bool = JSON,
) -> None:
    """Find what is wrong in DeepStream configuration files: line, cause and cure. Exits with 1 if there are errors.

    Example: reidstream deepstream check pgie.txt sgie.txt tracker.yml --fix
    """
    from reidstream.cli.common import console, print_json
    from reidstream.engines.deepstream.checking import Severity, check_parsed, corrected
    from reidstream.engines.deepstream.checking.config_file import read_config_file
    from reidstream.engines.deepstream.checking.fixing import corrected_path, diff, write_copy

    parsed = [read_config_file(path) for path in files]
    findings = check_parsed(parsed)
    copies = {}
    if fix:
        for number, file in enumerate(parsed):
            text = corrected(parsed, number)
            name = corrected_path(file.path)
            if difference := diff(file, text, name):
                write_copy(name, text)
                copies[name] = difference
    failed = any(finding.severity is Severity.ERROR for finding in findings)
    if as_json:
        print_json(
            {
                "findings": [
                    {
                        "file": str(finding.file),
                        "line": finding.line,
                        "severity": finding.severity,
                        "code": finding.code,
                        "cause": finding.cause,
                        "cure": finding.cure,
                        "fixable": bool(finding.edits),
                    }
                    for finding in findings
                ],
                "corrected": [{"file": str(name), "diff": difference} for name, difference in copies.items()],
            }
        )
        raise typer.Exit(1 if failed else 0)
    out = console()
    styles = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
    for finding in findings:
        out.print(f"{finding.place}: ", end="", markup=False)
        out.print(finding.severity, style=styles[finding.severity], end="", markup=False)
        out.print(f" [{finding.code}] {finding.cause}", markup=False)
        out.print(f"    {finding.cure}", markup=False, style="dim")
    for name, difference in copies.items():
        out.print()
        out.print(f"wrote {name}", markup=False)
        for line in difference.splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            out.print(line, markup=False, style=style)
    counts = {severity: sum(finding.severity is severity for finding in findings) for severity in Severity}
    fixable = sum(bool(finding.edits) for finding in findings)
    text = ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items())
    hint = f"; {fixable} can be cured with --fix" if fixable and not fix else ""
    out.print(f"{text}{hint}" if findings else "nothing wrong was found", markup=False)
    raise typer.Exit(1 if failed else 0)


@app.command("build")
def build_command(
    sources: list[str] | None = typer.Argument(
        None, help="What the run will read: engines are built for so many sources. deepstream.mux.batch says it, too."
    ),
    config: Path | None = CONFIG,
    override: list[str] | None = SETTINGS,
    workspace: int | None = typer.Option(None, min=1, help="MiB that TensorRT may use while it tries kernels."),
    force: bool = typer.Option(False, "--force", help="Build engines anew that are there already."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show the commands."),
    as_json: bool = JSON,
) -> None:
    """Build both TensorRT engines of the pipeline where the run will look for them; models are copied there first.

    Example: reidstream deepstream build cameras.toml --set deepstream.models=models/
    """
    from reidstream.cli.common import console, print_json
    from reidstream.cli.engine_plan import is_built, plans_from_config
    from reidstream.config import load_config
    from reidstream.models.engine_build import build_engine
    from reidstream.sources import expand_sources

    settings = load_config(config, override or [])
    if sources:
        settings = settings.model_copy(update={"sources": tuple(expand_sources(sources))})
    out = console()

    def say(text: str) -> None:
        if not as_json:
            out.print(text, markup=False, highlight=False)

    if settings.deepstream.mux.batch is None and not settings.sources:
        say("for one source at a time; name the sources, or set deepstream.mux.batch, for more")
    shown = []
    # Both are planned before the first is built: what is wrong with the second is said at once.
    for name, plan in zip(("detector", "Re-ID model"), plans_from_config(settings, workspace), strict=True):
        there = is_built(plan) and not force
        shown.append({"engine": str(plan.engine), "command": plan.command, "built": False, "there": there})
        if there:
            say(f"{name}: {plan.engine} is there already")
            continue
        say(f"{name}: {plan.command}")
        if dry_run:
            say(f"would write {plan.engine}")
            continue
        seconds = build_engine(plan, say)
        shown[-1] |= {"built": True, "seconds": round(seconds, 1)}
        say(f"{name}: built {plan.engine} in {seconds:.0f} s; log in {plan.log}")
    if as_json:
        print_json(shown)
