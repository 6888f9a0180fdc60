"""`isthmus ca status`: who holds which certificate, and what expires next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.cli.options import WATCH, output, written
from isthmus.console.render import fail
from isthmus.console.watching import follow
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.certificates_text import CertificateStatus


@click.command("status")
@cluster_options
@click.option("--all", "whole", is_flag=True, help="show all proxies, not only those that end first")
@WATCH
@output()
def status(*, whole: bool, watch: bool, **flags: Any) -> None:
    """Show every root, intermediate and workload certificate with its end, and what is wrong.

    Asked are those who hold them, in the clusters of --context (several), or of the current context: each
    Citadel, each agent beside an Envoy, and ConfigMap istio-ca-root-cert of each namespace. Ends with 79 if
    anything is an error: a certificate that has ended, a Citadel that does not answer, clusters that do not
    believe each other.
    """
    from isthmus.console.fault_filter import FOUND
    from isthmus.model.findings import Severity

    form = str(flags["output"])
    try:
        if watch:
            follow(lambda: _text(_found(flags), form, whole=whole), by_lines=form in {"table", "wide"})
        found = _found(flags)
    except (KubeError, ValueError) as error:
        fail(str(error))
    click.echo(_text(found, form, whole=whole))
    if any(each.severity is Severity.ERROR for each in found.warnings):
        sys.exit(FOUND)


def _found(flags: dict[str, Any]) -> CertificateStatus:
    import asyncio

    from isthmus.console.certificate_warnings import warnings
    from isthmus.console.certificates_text import CertificateStatus
    from isthmus.console.held_certificates import held_in
    from isthmus.kit.clock import SystemClock

    clusters = asyncio.run(held_in(flags["kubeconfig"], chosen(flags), flags["root"]))
    now = SystemClock().now()
    return CertificateStatus(at=now, warnings=warnings(clusters, now), clusters=clusters)


def _text(found: CertificateStatus, form: str, *, whole: bool) -> str:
    from isthmus.console.certificates_text import as_text, as_tree

    return written(form, as_tree(found), lambda: as_text(found, whole=whole or form == "wide"))
