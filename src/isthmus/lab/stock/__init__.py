"""Upstream's own control plane in a cluster of the lab: etcd, kube-apiserver, kube-controller-manager (ADR 0047)."""
