"""Running models: sessions, detectors, embedders."""
