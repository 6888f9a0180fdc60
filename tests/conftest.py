"""Being here puts `tests/` on the path, so that tests can say `from fakes...`."""
