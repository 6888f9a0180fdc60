"""Ingress → Istio's kinds. Begin with `convert.py`."""
