"""How a part of the mesh reaches the API server of its own cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.console.render import fail
from isthmus.kube.errors import InvalidKubeconfig
from isthmus.settings import own_api_server

if TYPE_CHECKING:
    from isthmus.kube.kubeconfig import Access


def own_access(kubeconfig: str) -> Access:
    """By the kubeconfig, or as a pod does; ends with an error where there is no way."""
    from isthmus.kube.kubeconfig import from_file, in_cluster

    if kubeconfig:
        try:
            return from_file(Path(kubeconfig))
        except InvalidKubeconfig as error:
            fail(str(error))
    address = own_api_server()
    if address is None:
        fail("this is no pod of a cluster (hint: --kubeconfig FILE)")
    return in_cluster(address.host, address.port)
