"""What nvinfer and nvtracker can be told: keys, kinds of values, and what is wrong with a value."""
