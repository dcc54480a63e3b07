"""Pictures that stay in a GPU's memory, from the decoder to the networks' inputs."""
