from __future__ import annotations

import pytest

from isthmus.kube.errors import KubeError
from isthmus.sidecar.inject.routers import RouterPods


class Cluster:
    """A cluster whose injector is set up so."""

    def __init__(self, values: str) -> None:
        self._values = values

    async def get(self, *_: object) -> dict[str, object]:
        return {"data": {"values": self._values}}


def deployment(**annotations: str) -> dict[str, object]:
    named = {f"sidecar.istio.io/{name}": text for name, text in annotations.items()}
    return {
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"template": {"metadata": {"annotations": named}, "spec": {}}},
    }


async def test_a_gateway_gets_its_envoy_as_its_annotations_say() -> None:
    made = await RouterPods(Cluster("cluster: east"), "istio-system").containers(deployment(proxyCPU="250m"))
    assert made["containers"][0]["resources"]["requests"]["cpu"] == "250m"


@pytest.mark.parametrize(
    ("values", "cpu", "said"),
    [
        ("cluster: east", "much", "proxyCPU: 'much' is no quantity"),
        ("cluster: 1", "1", "istio-sidecar-injector, values"),
    ],
)
async def test_what_makes_no_envoy_is_an_error_of_that_gateway_alone(
    values: str, cpu: str, said: str
) -> None:
    with pytest.raises(KubeError, match=said):
        await RouterPods(Cluster(values), "istio-system").containers(deployment(proxyCPU=cpu))
