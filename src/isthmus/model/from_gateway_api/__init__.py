"""Gateway API → Istio's kinds, with the status that the specification asks for; no I/O. Begin with `convert.py`."""
