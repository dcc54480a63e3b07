"""Measuring how good the answers are."""
