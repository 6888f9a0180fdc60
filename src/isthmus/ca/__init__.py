"""Citadel: signs for the workloads of a cluster, from the root that all clusters share."""
