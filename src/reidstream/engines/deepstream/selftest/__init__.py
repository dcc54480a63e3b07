"""The self-test: a real run on this machine, judged against what is known of the clip and of the models."""
