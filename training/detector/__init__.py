"""Training of ``person-detector``: a YOLOX-nano for one class."""
