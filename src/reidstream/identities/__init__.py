"""Who is who: tracklets to people."""
