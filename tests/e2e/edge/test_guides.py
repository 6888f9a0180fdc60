"""The commands of the guides about the edge, run as they stand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from e2e.reading import commands, desk, guide, typed, written
from isthmus.console.demo.stage import PUBLIC, Stage

GUIDES = {
    "ingress-with-tls": "kubectl delete -f samples/edge/ingress-tls.yaml; "
    "kubectl -n istio-system delete secret web partners",
    "egress": "kubectl delete -f samples/edge/egress.yaml; "
    "isthmus install egress-gateway --cluster gke | kubectl delete -f - --ignore-not-found",
    "gateway-api": "kubectl delete -f web.yaml; kubectl delete secret shop-cert; "
    "kubectl wait --for=delete pod -l gateway.networking.k8s.io/gateway-name=web --timeout=60s",
    "ingress": "kubectl delete -f shop.yaml; kubectl delete secret shop-cert",
}
"""And what takes back what each of them did."""


@pytest.mark.parametrize("name", GUIDES)
async def test_a_guide_works_as_it_is_written(name: str, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lab").symlink_to(stage.lab.folder)
    environment = desk(
        tmp_path,
        KUBECONFIG=str(stage.lab.kubeconfig(PUBLIC)),
        ISTHMUS_STATE=str(tmp_path / "state"),
    )

    text = guide(name)
    for file, lines in written(text).items():
        (tmp_path / file).write_text(lines)
    told = commands(text)
    assert len(told) > 4
    try:
        done = await asyncio.to_thread(typed, "\n".join(["set -euxo pipefail", *told]), environment, tmp_path)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    finally:
        await asyncio.to_thread(typed, GUIDES[name], environment, tmp_path)
        await stage.lab.open(PUBLIC, "istio-system", "istio-ingressgateway", 80)
