"""Whose API servers the clusters of a lab have: one option of all commands that bring one up."""

from __future__ import annotations

import click

api_server_option = click.option(
    "--apiserver",
    type=click.Choice(["embedded", "kube"]),
    envvar="ISTHMUS_LAB_APISERVER",
    show_envvar=True,
    help="of all clusters: the lab's own, or upstream's etcd, kube-apiserver and kube-controller-manager",
)
