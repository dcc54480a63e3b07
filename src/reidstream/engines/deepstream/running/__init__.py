"""The pipeline while it runs: its elements, probe, bus, hand-over to the reading thread, and events."""
