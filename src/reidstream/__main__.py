"""``python -m reidstream`` is the ``reidstream`` command."""

from reidstream.cli import main

main()
