"""How the embedded weights were made: everything from raw data to the two ONNX files. Not part of the wheel."""
