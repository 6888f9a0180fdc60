"""Limits that our Envoys are started with, so that what is sent to them can be held to the same."""

REGEX_PROGRAM_LIMIT = 32_768
"""How large a compiled regular expression may be: Istio's limit, so that its users' expressions go on working.

Envoy's own is 100. Source: Envoy's RegexMatcher reference.
"""

RUNTIME = {"re2.max_program_size.error_level": REGEX_PROGRAM_LIMIT}
"""What a bootstrap's `layered_runtime` says for it."""
