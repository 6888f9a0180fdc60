"""The mesh as immutable values, and how changes make the next one. No I/O, no clock, no chance."""
