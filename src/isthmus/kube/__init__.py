"""Talking to Kubernetes API servers: one client and informer a cluster, for as many clusters as there are."""
