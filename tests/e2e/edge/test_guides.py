"""The commands of the guides about the edge, run as they stand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.test_guide import commands
from isthmus.console.demo.stage import PUBLIC, Stage

ROOT = Path(__file__).parents[3]
GUIDES = {
    "ingress-with-tls": "kubectl delete -f samples/edge/ingress-tls.yaml; "
    "kubectl -n istio-system delete secret web partners",
    "egress": "kubectl delete -f samples/edge/egress.yaml; "
    "isthmus install egress-gateway --cluster gke | kubectl delete -f - --ignore-not-found",
}
"""And what takes back what each of them did."""


@pytest.mark.parametrize("name", GUIDES)
async def test_a_guide_works_as_it_is_written(name: str, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lab").symlink_to(stage.lab.folder)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "KUBECONFIG": str(stage.lab.kubeconfig(PUBLIC)),
        "ISTHMUS_STATE": str(tmp_path / "state"),
    }

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    written = commands((ROOT / "docs" / "guides" / f"{name}.md").read_text())
    assert len(written) > 4
    try:
        done = await asyncio.to_thread(run, "\n".join(["set -euxo pipefail", *written]))
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    finally:
        await asyncio.to_thread(run, GUIDES[name])
        await stage.lab.open(PUBLIC, "istio-system", "istio-ingressgateway", 80)
