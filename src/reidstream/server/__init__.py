"""One process that owns a gallery: it stores, decides, answers and shows, while cameras run."""
