"""Envoy's messages: classes by short name, from a pool of their own."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.envoy import types
from isthmus.envoy.binary import NoEnvoy, RefusedByEnvoy, envoy_executable, validate, version
from isthmus.envoy.descriptors import class_of_url
from isthmus.envoy.names import NAMES

ROOT = Path(__file__).parents[3]


def test_every_name_is_a_message_of_this_envoy():
    assert {name: getattr(types, name).DESCRIPTOR.full_name for name in NAMES} == NAMES


def test_a_name_that_is_not_listed_is_an_attribute_error_with_a_hint():
    with pytest.raises(AttributeError, match=r"hint: add it to"):
        _ = types.Nonsense


def test_a_class_is_the_same_however_it_is_asked_for():
    assert types.Cluster is types.Cluster
    assert class_of_url("type.googleapis.com/envoy.config.cluster.v3.Cluster") is types.Cluster


def test_durations_take_timedeltas():
    cluster = types.Cluster(name="a", connect_timeout=datetime.timedelta(seconds=1.5))
    assert (cluster.connect_timeout.seconds, cluster.connect_timeout.nanos) == (1, 500_000_000)


def test_the_descriptors_are_those_of_the_executable():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import envoy_api
    finally:
        sys.path.pop(0)
    found = envoy_api.embedded_files(envoy_executable())
    assert "envoy/config/cluster/v3/cluster.proto" in found
    missing = {dependency for file in found.values() for dependency in file.dependency} - found.keys()
    assert missing == set()
    import lzma

    from isthmus.envoy.descriptors import FILE

    assert lzma.decompress(FILE.read_bytes()) == envoy_api.file_set(found.values()).SerializeToString()


def test_the_stubs_are_made_again_only_when_their_sources_changed():
    def run() -> str:
        command = [sys.executable, "tools/envoy_api.py"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    run()
    assert run() == ""


def test_the_executable_says_its_version():
    assert version(envoy_executable()) == "1.40.0"


def test_an_executable_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(NoEnvoy, match="hint"):
        envoy_executable(str(tmp_path / "envoy"))


def test_envoy_takes_a_sound_bootstrap():
    validate(envoy_executable(), "{}")


def test_envoy_says_what_is_wrong_with_a_bootstrap():
    with pytest.raises(RefusedByEnvoy, match="no such field: 'admins'"):
        validate(envoy_executable(), '{"admins": {}}')
