from __future__ import annotations

import base64
import threading

import pytest

from fakes.objects_of import ACCOUNTS, CLAIMS, CONFIG_MAPS, PODS, SECRETS, bare_api, config_map, pod
from fakes.quiet_node import quiet_node
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.kubelet.environment import Missing
from isthmus.lab.kubelet.volumes import Volumes, write_files
from isthmus.lab.sandbox import Mount

SETTINGS = Target(CONFIG_MAPS, "default", "settings")


@pytest.fixture
async def node(tmp_path):
    api = await bare_api()
    yield quiet_node(api, tmp_path)
    api.store.close()


def with_volume(**volume):
    made = pod(volumes=[{"name": "v", **volume}], serviceAccountName="shop")
    made["metadata"] |= {"uid": "u1", "labels": {"app": "web"}}
    return made


def volumes_of(node, made):
    return Volumes(node, made, node.folder / "pod")


def files(node):
    folder = node.folder / "pod" / "v"
    return {
        str(path.relative_to(folder)): path.read_text()
        for name in sorted(folder.iterdir())
        if not name.name.startswith("..")
        for path in ([name] if name.is_file() else sorted(name.rglob("*")))
        if path.is_file()
    }


async def test_a_config_map_is_a_file_for_each_key_and_follows_it(node):
    made = with_volume(configMap={"name": "settings"})
    volumes = volumes_of(node, made)
    with pytest.raises(Missing, match='configmap "settings" not found'):
        await volumes.prepare(made)
    await node.api.create(CONFIG_MAPS, config_map(color="red", size="1"))
    await volumes.prepare(made)
    assert files(node) == {"color": "red", "size": "1"}
    await node.api.patch(SETTINGS, {"data": {"color": "blue", "size": None, "shape": "o"}}, MERGE_PATCH)
    await volumes.prepare(made)
    assert files(node) == {"color": "blue", "shape": "o"}


async def test_an_optional_object_may_be_absent_and_items_choose_and_rename(node):
    made = with_volume(configMap={"name": "settings", "optional": True})
    await volumes_of(node, made).prepare(made)
    assert files(node) == {}
    await node.api.create(CONFIG_MAPS, config_map(color="red", size="1"))
    made = with_volume(configMap={"name": "settings", "items": [{"key": "color", "path": "deep/paint"}]})
    await volumes_of(node, made).prepare(made)
    assert files(node) == {"deep/paint": "red"}
    made = with_volume(configMap={"name": "settings", "items": [{"key": "none", "path": "x"}]})
    with pytest.raises(Missing, match="references non-existent configmap key: none"):
        await volumes_of(node, made).prepare(made)


async def test_a_secret_is_decoded(node):
    secret = {"metadata": {"name": "keys", "namespace": "default"}}
    await node.api.create(SECRETS, secret | {"data": {"key.pem": base64.b64encode(b"pem").decode()}})
    made = with_volume(secret={"secretName": "keys"})
    await volumes_of(node, made).prepare(made)
    assert files(node) == {"key.pem": "pem"}


async def test_a_projected_volume_joins_its_sources(node):
    await node.api.create(ACCOUNTS, {"metadata": {"name": "shop", "namespace": "default"}})
    await node.api.create(CONFIG_MAPS, config_map(color="red"))
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    made = with_volume(
        projected={
            "sources": [
                {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 1000}},
                {"configMap": {"name": "settings"}},
                {"downwardAPI": {"items": [labels]}},
            ]
        }
    )
    made = await node.api.create(PODS, made)  # its token is bound to it
    volumes = volumes_of(node, made)
    await volumes.prepare(made)
    found = files(node)
    assert (found["color"], found["labels"]) == ("red", 'app="web"')
    verified = node.tokens.verify(found["token"], ("istio-ca",))
    assert verified.user.name == "system:serviceaccount:default:shop"

    await volumes.prepare(made)
    assert files(node)["token"] == found["token"], "kept while it is fresh"
    await node.api.clock.advance(801)
    await volumes.prepare(made)
    assert files(node)["token"] != found["token"], "renewed after four fifths of its life"


async def test_without_new_tokens_a_pod_keeps_the_one_it_has_and_one_that_has_none_waits(node):
    await node.api.create(ACCOUNTS, {"metadata": {"name": "shop", "namespace": "default"}})
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}}
    made = await node.api.create(PODS, with_volume(projected={"sources": [source]}))
    volumes = volumes_of(node, made)
    node.tokens.is_there = False
    with pytest.raises(Missing, match='no token of serviceaccount "shop": nobody answers'):
        await volumes.prepare(made)
    node.tokens.is_there = True
    await volumes.prepare(made)
    first = files(node)["token"]
    node.tokens.is_there = False
    await node.api.clock.advance(900)
    await volumes.prepare(made)
    assert files(node)["token"] == first


async def test_containers_see_volumes_where_they_mount_them(node):
    made = with_volume(emptyDir={})
    made["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/srv"}})
    mounts = [
        {"name": "v", "mountPath": "/data"},
        {"name": "v", "mountPath": "/part", "subPath": "a/b", "readOnly": True},
        {"name": "host", "mountPath": "/srv"},
    ]
    volumes = volumes_of(node, made)
    await volumes.prepare(made)
    folder = node.folder / "pod" / "v"
    assert volumes.mounts({"volumeMounts": mounts}) == (
        Mount("/data", str(folder), False),
        Mount("/part", str(folder / "a/b"), True),
        Mount("/srv", "/srv", False),
    )
    assert (folder / "a/b").is_dir()
    volumes.remove()
    assert not folder.exists()


def test_readers_see_all_the_old_files_or_all_the_new(tmp_path):
    versions = [{name: str(number).encode() * 2000 for name in ("a", "b")} for number in range(2)]
    write_files(tmp_path, versions[0])
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            try:
                folder = tmp_path / (tmp_path / "..data").readlink()
                seen.add(((folder / "a").read_bytes(), (folder / "b").read_bytes()))
            except FileNotFoundError:
                continue  # of a version that has gone: whoever looks again sees the next

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        write_files(tmp_path, versions[number % 2])
    stop.set()
    reader.join()
    assert seen
    assert seen <= {tuple(version.values()) for version in versions}
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("..")]) == 2, "nothing is left"


async def test_the_folder_of_a_claim_outlives_pods_and_is_another_for_the_next_claim(node):
    made = with_volume(persistentVolumeClaim={"claimName": "data"})
    container = {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/data"}]}

    async def place():
        volumes = volumes_of(node, made)
        await volumes.prepare(made)
        (mount,) = volumes.mounts(container)
        volumes.remove()
        return mount.source

    with pytest.raises(Missing, match='persistentvolumeclaim "data" not found'):
        await place()
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {}}}
    await node.api.create(CLAIMS, {**claim, "metadata": {"name": "data", "namespace": "default"}})
    first = await place()
    assert await place() == first
    await node.api.delete(Target(CLAIMS, "default", "data"))
    await node.api.create(CLAIMS, {**claim, "metadata": {"name": "data", "namespace": "default"}})
    assert await place() != first
