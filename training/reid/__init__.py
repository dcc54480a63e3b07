"""Training of ``person-reid``: OSNet x0.25 that knows Market-1501 without forgetting other cameras."""
