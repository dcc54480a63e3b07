"""``reidstream deepstream``: NVIDIA's configuration files, written and checked."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(help="Write and check the configuration files of NVIDIA DeepStream.", no_args_is_help=True)


@app.command("config")
def config_command(
    folder: Path = typer.Argument(..., help="Folder for the files; made if it is missing."),
    config: Path | None = typer.Option(None, "--config", "-c", help="TOML configuration.", show_default=False),
    override: list[str] = typer.Option([], "--set", "-s", metavar="KEY=VALUE", help="Override a setting."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write the nvinfer, nvtracker and pipeline files from the configuration.

    Example: reidstream deepstream config configs/ --set deepstream.sgie.precision=fp32
    """
    from reidstream.cli.common import console, print_json
    from reidstream.config import load_config
    from reidstream.engines.deepstream.nvinfer_config import render_configs

    rendered = render_configs(load_config(config, override), folder)
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
