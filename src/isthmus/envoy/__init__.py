"""Envoy's own API, of exactly the version we ship: its messages, its rules, its executable."""
