"""The files that NVIDIA's elements read, rendered from one typed configuration."""
