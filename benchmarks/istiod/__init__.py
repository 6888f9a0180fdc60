"""Istio's own control plane and ours, one after the other, with the same objects and the same proxies."""
