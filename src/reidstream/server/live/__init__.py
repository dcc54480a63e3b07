"""Live pictures: made where a camera is read, at most once however many look, and sent on to browsers."""
