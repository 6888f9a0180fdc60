"""What a labelled Secret says of clusters: which there are, and what is wrong with it."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection

from isthmus.api.core.secret import Secret
from isthmus.api.resource import Ref
from isthmus.discovery.registry import Claims, ClusterSpec
from isthmus.kube.errors import InvalidKubeconfig
from isthmus.kube.kubeconfig import from_stranger
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId

LABEL = "istio/multiCluster"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def claims_of(ref: Ref, secret: Secret, allowed: Collection[str] = ()) -> Claims:
    """The clusters that a Secret describes, each under a key, and what is wrong with it."""
    read = [read_entry(ref, key, value, allowed) for key, value in sorted(secret.data.items())]
    return Claims(tuple(spec for spec, _ in read if spec), tuple(finding for _, finding in read if finding))


def read_entry(
    ref: Ref, key: str, value: str, allowed: Collection[str] = ()
) -> tuple[ClusterSpec | None, Finding | None]:
    """The cluster that one data key of a Secret describes, or what is wrong with it."""
    path = f"$.data[{key}]"

    def wrong(message: str, severity: Severity = Severity.ERROR) -> tuple[None, Finding]:
        return None, Finding(ref=ref, path=path, message=message, severity=severity, code=Code.CLUSTER)

    if not _NAME.fullmatch(key):
        return wrong("is no name for a cluster (hint: lower case letters, digits, dashes and dots)")
    if not value:
        return wrong("is empty (hint: put a kubeconfig there)", Severity.WARNING)
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return wrong("is no text in base64")
    try:
        # Whoever may write the Secret must not thereby run programs or read files where Pilot runs.
        access = from_stranger(text, allowed)
    except InvalidKubeconfig as error:
        return wrong(f"kubeconfig {error.path}: {error.message}")
    spec = ClusterSpec(id=ClusterId(key), access=access, source=f"secret {ref.namespace}/{ref.name}")
    return spec, None
