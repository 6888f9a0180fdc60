"""Envoy's network filters, one module each."""
