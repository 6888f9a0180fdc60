from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from fakes.eventually import eventually
from isthmus.discovery.registry import ClusterSpec
from isthmus.discovery.source_files import FilesSource, read_directory
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import Access
from isthmus.model.findings import Severity

PILOT = "10.0.0.9:15010"


def kubeconfig(server):
    return {
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
    }


def cluster(name, access=None, store=False, pilot=PILOT):
    said = {
        "pilotEndpoint": pilot,
        "platform": "Kubernetes",
        "accessConfigFile": access or f"{name}.kubeconfig",
        "pilotCfgStore": "true" if store else "false",
    }
    prefixed = {f"config.istio.io/{key}": value for key, value in said.items()}
    return {
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "annotations": prefixed},
    }


def write(folder, name, content):
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / name).write_text(text)


def add(folder, name, server=None, **more):
    write(folder, f"{name}.kubeconfig", kubeconfig(server or f"https://{name}:6443"))
    write(folder, f"{name}.yaml", cluster(name, **more))


@pytest.fixture
def folder(tmp_path):
    add(tmp_path, "east", store=True)
    add(tmp_path, "west")
    return tmp_path


def ids(claims):
    return [spec.id for spec in claims.specs]


def wrong(claims):
    return [(each.ref.name, each.path) for each in claims.findings if each.severity is Severity.ERROR]


def test_each_file_is_a_cluster(folder):
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert not claims.findings
    assert [spec.is_config for spec in claims.specs] == [True, False]
    assert [spec.source for spec in claims.specs] == ["file east.yaml", "file west.yaml"]
    assert claims.specs[1].access.server == "https://west:6443"


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("a: [", "$"),
        ("hello", "$"),
        ("at: 2020-99-99", "$.kind"),
        ({"kind": "Pod"}, "$.kind"),
        (cluster("north"), "$.metadata.annotations[config.istio.io/accessConfigFile]"),
    ],
)
def test_one_wrong_file_never_takes_another(folder, content, path):
    write(folder, "north.yaml", content)
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert ("north.yaml", path) in wrong(claims)


def test_a_file_that_is_no_text_is_told(folder):
    (folder / "north.yaml").write_bytes(b"\xff\xfe\x00")
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert wrong(claims) == [("north.yaml", "$")]


def test_several_clusters_in_one_file_are_told_apart(folder):
    bad = cluster("bad")
    bad["kind"] = "Boat"
    write(folder, "west.yaml", "---\n".join(yaml.safe_dump(each) for each in (cluster("west"), bad)))
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert wrong(claims) == [("west.yaml", "$[1].kind")]


def test_files_of_other_kinds_below_and_hidden_ones(folder):
    write(folder, "README.md", "kind: Cluster")
    write(folder, ".hidden.yaml", "kind: Boat")
    (folder / "more").mkdir()
    write(folder / "more", "config.yaml", kubeconfig("https://x"))
    write(folder / "more", "south.yml", cluster("south", access="more/config.yaml"))
    claims = read_directory(folder)
    assert ids(claims) == ["east", "south", "west"]
    assert not claims.findings


def test_the_first_file_keeps_a_name_that_stands_twice(folder):
    write(folder, "zz.yaml", cluster("east", access="west.kubeconfig"))
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert claims.specs[0].source == "file east.yaml"
    (finding,) = claims.findings
    assert (finding.ref.name, finding.path) == ("zz.yaml", "$.metadata.name")
    assert "is described in east.yaml already" in finding.message


def test_clusters_of_another_pilot_are_left_to_it(folder):
    add(folder, "north", pilot="10.9.9.9:15010")
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    (finding,) = claims.findings
    assert finding.severity is Severity.INFO
    assert "10.9.9.9:15010" in finding.message


@pytest.mark.parametrize(("stores", "words"), [((), "none is"), (("east", "west"), "east, west are")])
def test_exactly_one_cluster_must_be_the_store(tmp_path, stores, words):
    for name in ("east", "west"):
        add(tmp_path, name, store=name in stores)
    claims = read_directory(tmp_path)
    assert ids(claims) == ["east", "west"]
    (finding,) = claims.findings
    assert words in finding.message
    assert "(hint: set config.istio.io/pilotCfgStore" in finding.message


def test_no_directory_is_told_and_an_empty_one_is_not(tmp_path):
    assert not read_directory(tmp_path).findings
    (finding,) = read_directory(tmp_path / "none").findings
    assert "is no directory (hint: create it)" in finding.message


def mounted(folder, version, **files):
    """Writes files as kubelet does: into a hidden folder, to which `..data` is switched in one step."""
    hidden = folder / f"..{version}"
    hidden.mkdir()
    for key, content in files.items():
        name = key.replace("_", ".")
        write(hidden, name, content)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    switch = folder / "..data_tmp"
    switch.symlink_to(hidden.name)
    switch.replace(folder / "..data")


class Followed:
    def __init__(self, source):
        self.source = source

    @property
    def servers(self):
        return {spec.id: spec.access.server for spec in self.source.claims.value.specs}

    async def until(self, **servers):
        async def reached():
            return self.servers == servers

        await eventually(reached)


class HastyClock:
    """Waits a fiftieth of what it is told to."""

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 50)


async def test_a_mounted_volume_is_read_once_and_again_after_each_switch(tmp_path):
    files = {"east_yaml": cluster("east", store=True), "east_kubeconfig": kubeconfig("https://one")}
    mounted(tmp_path, "1", **files)
    source = FilesSource(tmp_path, HastyClock())
    async with supervise(source.run()):
        await source.looked.wait()
        followed = Followed(source)
        assert followed.servers == {"east": "https://one"}
        assert not source.claims.value.findings
        mounted(tmp_path, "2", **files | {"east_kubeconfig": kubeconfig("https://two")})
        await followed.until(east="https://two")


async def test_clusters_come_change_and_go_with_their_files(folder):
    source = FilesSource(folder, HastyClock())
    async with supervise(source.run()):
        await source.looked.wait()
        followed = Followed(source)
        add(folder, "north")
        east, west = "https://east:6443", "https://west:6443"
        await followed.until(east=east, west=west, north="https://north:6443")
        add(folder, "north", "https://other")
        await followed.until(east=east, west=west, north="https://other")
        (folder / "north.yaml").unlink()
        await followed.until(east=east, west=west)


async def test_pilots_own_cluster_is_all_that_is_known_while_no_file_describes_one(tmp_path):
    own = ClusterSpec(id="own", access=Access(server="https://own"), source="its own", is_config=True)
    source = FilesSource(tmp_path, HastyClock(), own=own)
    async with supervise(source.run()):
        await source.looked.wait()
        assert source.claims.value.specs == (own,)
        assert not source.claims.value.findings
        add(tmp_path, "east", store=True)
        await Followed(source).until(east="https://east:6443")


async def test_a_file_that_becomes_wrong_leaves_its_cluster_as_it_was(folder):
    source = FilesSource(folder, HastyClock())
    async with supervise(source.run()):
        await source.looked.wait()
        before = source.claims.value.specs
        for content in ("a: [", "{}"):
            write(folder, "east.kubeconfig", content)
            write(folder, "west.yaml", content)

            async def told(content=content):
                found = {file for file, _ in wrong(source.claims.value)}
                return found == {"east.yaml", "west.yaml"}

            await eventually(told)
            assert source.claims.value.specs == before
        (folder / "west.yaml").unlink()
        await Followed(source).until(east="https://east:6443")


async def test_a_directory_that_goes_takes_no_cluster_and_one_that_comes_back_counts(folder):
    source = FilesSource(folder, HastyClock())
    async with supervise(source.run()):
        await source.looked.wait()
        before = source.claims.value.specs
        away = folder.with_name("away")
        folder.rename(away)

        async def told():
            return wrong(source.claims.value) == [(folder.name, "$")]

        await eventually(told)
        assert source.claims.value.specs == before
        (away / "west.yaml").unlink()
        away.rename(folder)
        await Followed(source).until(east="https://east:6443")
        assert not source.claims.value.findings


@pytest.mark.parametrize(
    "content",
    [
        "a: !!bool maybe",
        "[" * 100_000,
        "metadata: &x {name: *x}",
        {
            **cluster("north"),
            "metadata": {
                **cluster("north")["metadata"],
                "name": "north",
                "annotations": {"config.istio.io/accessConfigFile": "n" * 4000},
            },
        },
    ],
)
def test_a_file_made_to_take_pilot_down_is_only_wrong(folder, content):
    write(folder, "north.yaml", content)
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert {file for file, _ in wrong(claims)} == {"north.yaml"}


def test_a_kubeconfig_with_a_path_that_is_none_is_told(folder):
    text = (folder / "west.kubeconfig").read_text()
    config = yaml.safe_load(text)
    config["clusters"][0]["cluster"]["certificate-authority"] = "a\0b"
    write(folder, "west.kubeconfig", config)
    claims = read_directory(folder)
    assert ids(claims) == ["east"]
    assert "is no path" in claims.findings[0].message


def test_a_link_to_nothing_is_a_wrong_file(folder):
    (folder / "north.yaml").symlink_to(folder / "nothing")
    claims = read_directory(folder)
    assert ids(claims) == ["east", "west"]
    assert wrong(claims) == [("north.yaml", "$")]


@contextmanager
def as_nobody():
    """Without the rights of root, if we have them."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(1337)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_of_somebody_elses_is_told_with_who_must_be_able_to_read_it():
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "east.yaml").write_text("kind: Cluster")
        (folder / "east.yaml").chmod(0o600 if os.geteuid() == 0 else 0)
        with as_nobody():
            user = os.geteuid()
            (found,) = read_directory(folder).findings
    assert "east.yaml" in found.message
    assert found.message.endswith(f"(hint: it must be readable by user {user})")
