"""Limits that our Envoys are started with, so that what is sent to them can be held to the same."""

from isthmus.kit import regex

RUNTIME = {"re2.max_program_size.error_level": regex.LARGEST}
"""What a bootstrap's `layered_runtime` says for it."""
