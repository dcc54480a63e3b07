"""Writing a trained network as the ONNX file that is shipped, and checking that it computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import torch
from torch import Tensor, nn

OPSET = 17


def export_onnx(
    network: nn.Module,
    example: Tensor,
    path: Path,
    output: str,
    axes: dict[int, str],
    about: dict[str, str],
    halved: bool = False,
) -> None:
    """Trace ``network`` on ``example`` and write ``path``: input ``input``, dynamic ``axes``, metadata ``about``.

    The file is checked before it takes the place of an older one: ONNX Runtime has to agree with PyTorch within 1e-3
    of the largest value on the example and on a batch of another size, else a RuntimeError says by how much it is off.
    halved: weights are stored in half precision, which halves the file; all is computed in float32, and may be off by a
    hundredth.
    """
    network = network.eval()
    draft = path.with_suffix(".draft.onnx")
    torch.onnx.export(
        network,
        (example,),
        str(draft),
        input_names=["input"],
        output_names=[output],
        opset_version=OPSET,
        dynamic_axes={"input": axes, output: {0: axes[0], **({1: "anchors"} if len(axes) > 1 else {})}},
        dynamo=False,
    )
    model = onnx.load(draft)
    if halved:
        halve_weights(model)
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, draft)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(draft), options, providers=["CPUExecutionProvider"])
    for batch in (example, example.flip(0).repeat(2, 1, 1, 1)):
        with torch.no_grad():
            wanted = network(batch).numpy()
        found = session.run(None, {"input": batch.numpy()})[0]
        error = float(np.abs(wanted - found).max() / np.abs(wanted).max())
        if not error < (1e-2 if halved else 1e-3):
            raise RuntimeError(f"{path}: ONNX Runtime and PyTorch differ by {error:.2e} of the largest value")
    draft.replace(path)


def halve_weights(model: onnx.ModelProto, least: int = 1024) -> None:
    """Store every weight of ``least`` numbers or more in half precision, with a cast in front of whoever reads it.

    Runtimes compute the casts once, when they load the file. Raises ValueError for a weight beyond half precision.
    """
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < least:
            continue
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            raise ValueError(f"{tensor.name}: a weight of {np.abs(values).max():.3g} is no number of half precision")
        half = values.astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *rest])
