"""The root that Citadel keeps in its cluster, brought to the disk of whoever makes CAs under it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from isthmus.api.core.secret import Secret
from isthmus.ca.founding import write_root
from isthmus.ca.self_signed import NAME, SECRETS, material
from isthmus.console.control_plane import access_to
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound


async def export_root(
    directory: Path, kubeconfig: Path | None, context: str | None, namespace: str
) -> tuple[Path, ...]:
    """The files written. Raises `KubeError`, `InvalidStore` where the Secret holds no CA, and `CannotFound`."""
    async with Client(access_to(kubeconfig, context)) as client:
        try:
            found = msgspec.convert(await client.get(SECRETS, namespace, NAME), Secret)
        except NotFound as error:
            hint = "this Citadel has its CA from Secret cacerts: use the root that made it"
            raise KubeError(f"secret {namespace}/{NAME}: is not there (hint: {hint})") from error
    kept = material(found.data, SystemClock().now())
    return write_root(directory, x509.Issuer(kept.chain[0], kept.key))
