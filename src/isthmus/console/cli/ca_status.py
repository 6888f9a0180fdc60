"""`isthmus ca status`: who holds which certificate, and what expires next."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.cli.options import output, written
from isthmus.console.render import fail
from isthmus.kit.clock import SystemClock
from isthmus.kube.errors import KubeError


@click.command("status")
@cluster_options
@click.option("--all", "whole", is_flag=True, help="show all proxies, not only those that end first")
@output()
def status(*, whole: bool, **flags: object) -> None:
    """Show every root, intermediate and workload certificate with its end, and what is wrong.

    Asked are those who hold them, in the clusters of --context (several), or of the current context: each
    Citadel, each agent beside an Envoy, and ConfigMap istio-ca-root-cert of each namespace. Ends with 79 if
    anything is an error: a certificate that has ended, a Citadel that does not answer, clusters that do not
    believe each other.
    """
    from isthmus.console.certificate_warnings import warnings
    from isthmus.console.certificates_text import CertificateStatus, as_text, as_tree
    from isthmus.console.fault_filter import FOUND
    from isthmus.console.held_certificates import held_in
    from isthmus.model.findings import Severity

    try:
        clusters = asyncio.run(held_in(_path(flags["kubeconfig"]), chosen(flags), str(flags["root"])))
    except (KubeError, ValueError) as error:
        fail(str(error))
    now = SystemClock().now()
    found = CertificateStatus(at=now, warnings=warnings(clusters, now), clusters=clusters)
    form = str(flags["output"])
    click.echo(written(form, as_tree(found), lambda: as_text(found, whole=whole or form == "wide")))
    if any(each.severity is Severity.ERROR for each in found.warnings):
        sys.exit(FOUND)


def _path(value: object) -> Path | None:
    return value if isinstance(value, Path) else None
