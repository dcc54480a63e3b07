"""The local engine on a GPU in several processes: one reads all sources and runs the models, others track.

Processes that share a GPU take turns on it, each with small batches; one process alone is held up by Python's lock, of
which tracking needs the most. So one process does what needs the device (decoding, networks, crops), in batches over
all sources, and a few track and choose crops, each for some of the sources. Pictures never leave the former: what
passes between them are boxes, vectors and the pixels of crops that are kept.
"""
