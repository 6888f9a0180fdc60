"""Isthmus: one service mesh over Kubernetes clusters in public and private clouds."""
