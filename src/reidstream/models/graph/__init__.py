"""Reading and rewriting ONNX graphs: batches, constants, inputs and outputs, padding, savings, OSNet as a graph."""
