"""Galleries of made-up people, as the tests of identities have them."""

from tests.identities.conftest import fill

__all__ = ["fill"]
