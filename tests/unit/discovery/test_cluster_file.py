from __future__ import annotations

import pytest
import yaml

from isthmus.discovery.cluster_file import read_cluster

AT = "$.metadata.annotations[config.istio.io/{}]"
KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "access").write_text(yaml.safe_dump(KUBECONFIG))
    return tmp_path


def cluster(
    name="east", metadata=None, kind="Cluster", version="clusterregistry.k8s.io/v1alpha1", **annotations
):
    said = {
        "pilotEndpoint": "10.0.0.9:15010",
        "platform": "Kubernetes",
        "accessConfigFile": "access",
        "pilotCfgStore": "true",
    } | annotations
    prefixed = {f"config.istio.io/{key}": value for key, value in said.items() if value is not None}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "annotations": prefixed} | (metadata or {}),
    }


def test_a_right_file_is_a_cluster(folder):
    found, wrong = read_cluster(cluster(), folder)
    assert not wrong
    assert (found.name, found.pilot_endpoint, found.is_store) == ("east", "10.0.0.9:15010", True)
    assert found.access.server == "https://10.0.0.1:6443"


@pytest.mark.parametrize("text", ["false", "", "0", "F", None, False])
def test_a_cluster_is_the_store_only_if_it_says_so(folder, text):
    found, _ = read_cluster(cluster(pilotCfgStore=text), folder)
    assert not found.is_store


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ([], "$", "is no object"),
        (cluster(kind="Pod"), "$.kind", "is 'Pod' (hint: only `kind: Cluster`"),
        (cluster(version="v1"), "$.apiVersion", "(hint: clusterregistry.k8s.io/v1alpha1)"),
        (cluster(name=""), "$.metadata.name", "is missing"),
        (cluster(metadata={"spec": {}}), "$.metadata.spec", "(hint: indent `spec`"),
        (cluster(platform="Consul"), AT.format("platform"), "Consul is not supported (hint: Kubernetes is)"),
        (cluster(platform="kubernetes"), AT.format("platform"), "is 'kubernetes' (hint: Kubernetes)"),
        (cluster(platform=None), AT.format("platform"), "is None (hint: Kubernetes)"),
        (cluster(pilotEndpoint=None), AT.format("pilotEndpoint"), "(hint: address:port"),
        (cluster(pilotEndpoint="pilot"), AT.format("pilotEndpoint"), "(hint: address:port"),
        (cluster(pilotEndpoint="pilot:99999"), AT.format("pilotEndpoint"), "(hint: address:port"),
        (cluster(pilotCfgStore="yes"), AT.format("pilotCfgStore"), '(hint: "true" or "false")'),
        (
            cluster(accessConfigFile=None),
            AT.format("accessConfigFile"),
            "is missing (hint: the name of a kubeconfig",
        ),
        (cluster(accessConfigFile="none"), AT.format("accessConfigFile"), "'none' is not there (hint: put"),
        (
            cluster(accessConfigFile="../x"),
            AT.format("accessConfigFile"),
            "lies outside the directory (hint:",
        ),
        (
            cluster(accessConfigFile="/etc/passwd"),
            AT.format("accessConfigFile"),
            "lies outside the directory",
        ),
        (
            cluster(accessConfigFile="empty"),
            AT.format("accessConfigFile") + " → empty:$",
            "is not a kubeconfig",
        ),
    ],
)
def test_what_is_wrong_is_told_with_path_and_mend(folder, document, path, words):
    (folder / "empty").write_text("")
    found, wrong = read_cluster(document, folder)
    assert found is None
    ((where, message),) = wrong
    assert where == path
    assert words in message


def test_everything_wrong_is_told_at_once(folder):
    document = cluster(
        name="", platform="Eureka", pilotEndpoint="x", pilotCfgStore="perhaps", accessConfigFile="none"
    )
    _, wrong = read_cluster(document, folder)
    assert len(wrong) == 5


@pytest.mark.parametrize("metadata", [None, [], {"annotations": []}, {"annotations": None}])
def test_odd_shapes_are_told_and_not_raised(folder, metadata):
    document = {**cluster(), "metadata": metadata}
    found, wrong = read_cluster(document, folder)
    assert found is None
    assert wrong
