"""``reidstream setup``: what an installation can be given afterwards."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Add what not every machine needs.")


@app.callback()
def _setup() -> None:
    """Add what not every machine needs."""


@app.command()
def cuda(
    replace: bool = typer.Option(False, "--replace", help="Install anew what is there already."),
) -> None:
    """Install ONNX Runtime for NVIDIA GPUs, with CUDA's libraries, beside the environment's (2.5 GB).

    Example: reidstream setup cuda && reidstream run entrance.mp4 --set local.device=cuda
    """
    from reidstream.cli.common import console
    from reidstream.runtime.setting_up import set_up_cuda

    out = console()
    out.print("installing ONNX Runtime for CUDA; with CUDA's libraries it takes 2.5 GB")
    folder = set_up_cuda(replace)
    out.print(f"ONNX Runtime for CUDA is in {folder}", markup=False)
    out.print("`reidstream doctor --set local.device=cuda` tries it", markup=False)
