"""Readers of bytes that others wrote, fed with what is nearly right."""
