"""Kubernetes clusters of our own, in network namespaces; the mesh meets them over HTTP only (ADR 0006)."""
