"""The Envoy in the pods of managed Gateways: the one that injection makes, by the cluster's own settings of it."""

from __future__ import annotations

from typing import Any

from isthmus.api import kind_named
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.sidecar.inject.annotations import InvalidAnnotation
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InvalidSettings, settings_in
from isthmus.sidecar.inject.template import router_spec

_CONFIG_MAPS = kind_named("ConfigMap")
_INJECTOR = "istio-sidecar-injector"


class RouterPods:
    """Asks the cluster how its proxies are to be."""

    def __init__(self, client: Client, namespace: str, suffix: str = "") -> None:
        """`suffix`: with which the names of our revision's objects end."""
        self._client, self._namespace, self._name = client, namespace, f"{_INJECTOR}{suffix}"

    async def containers(self, deployment: dict[str, Any]) -> dict[str, Any]:
        """Containers and volumes for the pod of `deployment`. Raises `KubeError`, also where they cannot be made."""
        found = await self._client.get(_CONFIG_MAPS, self._namespace, self._name)
        template, meta = deployment["spec"]["template"], deployment["metadata"]
        pod = Pod(template["metadata"], template["spec"], meta["namespace"], meta["name"], "Deployment")
        try:
            return router_spec(pod, settings_in(found.get("data")))
        except (InvalidSettings, InvalidAnnotation) as error:
            raise KubeError(str(error)) from error
