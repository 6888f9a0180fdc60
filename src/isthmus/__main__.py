"""`python -m isthmus`: the command line."""

from isthmus.console.cli import main

main()
