"""Clusters come, change and go by files in the registry directory, while Pilot runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from e2e.mesh_views import clusters_list, clusters_of_reviews, reviews_endpoints
from e2e.visits import visits
from isthmus.console.cli.clusters import command
from isthmus.console.demo.stage import PRIVATE, Stage
from isthmus.console.installation import Installation, documents, dump


@pytest.fixture
async def registry(stage: Stage) -> AsyncIterator[Path]:
    """The registry directory; as it was, after the story."""
    folder = stage.lab.folder / "registry"
    before = {path: path.read_text() for path in folder.iterdir()}
    yield folder
    for path in folder.iterdir():
        if path not in before:
            path.unlink()
    for path, text in before.items():
        path.write_text(text)
    assert await stage.until(lambda: holds(stage, {"gke", "onprem"}), 30)


async def holds(stage: Stage, clusters: set[str]) -> bool:
    return await clusters_of_reviews(stage) == clusters


async def test_a_removed_file_removes_the_cluster_and_a_new_one_adds_it(stage: Stage, registry: Path) -> None:
    text = (registry / "onprem.yaml").read_text()
    (registry / "onprem.yaml").unlink()
    assert await stage.until(lambda: holds(stage, {"gke"}), 20)
    assert PRIVATE not in await clusters_list(stage)
    (registry / "onprem.yaml").write_text(text)
    assert await stage.until(lambda: holds(stage, {"gke", "onprem"}), 20)


@pytest.mark.parametrize(
    ("name", "change", "path", "mend"),
    [
        ("onprem.yaml", lambda text: text.replace("platform: Kubernetes", "platform: Nomad"),
         "$.metadata.annotations[config.istio.io/platform]", "hint: Kubernetes"),
        ("onprem.yaml", lambda text: text.replace("onprem.kubeconfig", "lost.kubeconfig"),
         "$.metadata.annotations[config.istio.io/accessConfigFile]", "hint: put the kubeconfig beside"),
        ("onprem.yaml", lambda text: text + "\n  x: [", "$", "is not YAML"),
    ],
    ids=["unknown platform", "no kubeconfig", "broken YAML"],
)  # fmt: skip
async def test_a_wrong_file_is_named_with_its_mend_and_others_go_on(
    stage: Stage, registry: Path, name: str, change, path: str, mend: str
) -> None:
    (registry / name).write_text(change((registry / name).read_text()))

    async def told() -> bool:
        found = (await clusters_list(stage))["findings"]
        return any(name in each and path in each and mend in each for each in found)

    assert await stage.until(told, 20)
    assert (await clusters_list(stage))["gke"]["state"] == "synced"
    checked = CliRunner().invoke(command, ["check", str(registry)])
    assert checked.exit_code == 1
    assert name in checked.output
    assert mend in checked.output
    assert await clusters_of_reviews(stage) == {"gke", "onprem"}, "the last good description holds"
    assert (await stage.visitor.visit()).complete


async def test_new_credentials_take_over_without_a_gap(stage: Stage, registry: Path) -> None:
    path = "/api/v1/namespaces/istio-system/serviceaccounts/istio-reader-service-account/token"
    asked = '{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}'
    answer = await stage.kubectl(PRIVATE).run("create", "--raw", path, "-f", "-", stdin=asked)
    token = json.loads(answer)["status"]["token"]
    config = registry / "onprem.kubeconfig"
    seen: list[int] = []
    async with visits(stage) as pages:
        lines = config.read_text().splitlines()
        kept = [f"    token: {token}" if "token:" in line else line for line in lines]
        config.write_text("\n".join(kept) + "\n")

        async def taken_over() -> bool:
            seen.append(len(await reviews_endpoints(stage)))
            state = (await clusters_list(stage))[PRIVATE]
            return len(seen) > 8 and state["state"] == "synced" and not state["replacing"]

        assert await stage.until(taken_over, 30)
    assert set(seen) == {3}
    assert pages
    assert all(page.complete for page in pages)


async def test_bad_credentials_leave_the_old_ones_in_use(stage: Stage, registry: Path) -> None:
    config = registry / "onprem.kubeconfig"
    lines = config.read_text().splitlines()
    kept = ["    token: nobody-believes-this" if "token:" in line else line for line in lines]
    config.write_text("\n".join(kept) + "\n")

    async def complains() -> bool:
        return "refused" in (await clusters_list(stage))[PRIVATE]["replacing"]

    assert await stage.until(complains, 20)
    assert await clusters_of_reviews(stage) == {"gke", "onprem"}
    assert (await clusters_list(stage))[PRIVATE]["state"] == "synced"


async def test_a_labelled_secret_is_as_good_as_a_file(stage: Stage, registry: Path) -> None:
    public = stage.kubectl("gke")
    system = ("-n", "istio-system")
    (registry / "onprem.yaml").unlink()
    assert await stage.until(lambda: holds(stage, {"gke"}), 20)
    file = f"--from-file=onprem={registry / 'onprem.kubeconfig'}"
    right = dump(documents("remote-secrets", Installation(cluster="gke")))
    await public.apply(right)
    await public.run("create", "secret", "generic", "remote-onprem", file, *system)
    try:
        await public.run("label", "secret", "remote-onprem", "istio/multiCluster=true", *system)
        assert await stage.until(lambda: holds(stage, {"gke", "onprem"}), 20)
        assert (await clusters_list(stage))[PRIVATE]["source"] == "secret istio-system/remote-onprem"
    finally:
        await public.run("delete", "secret", "remote-onprem", *system)
        await public.run("delete", "-f", "-", stdin=right)
    assert await stage.until(lambda: holds(stage, {"gke"}), 20)
