"""The Secret that istioctl would print: byte for byte but for the token, and accepted by Pilot."""

from __future__ import annotations

import base64
import re

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from e2e.stock_istioctl import WITHOUT, istioctl
from fakes.live_cluster import live_cluster
from isthmus.api import kind_named
from isthmus.api.core.secret import Secret
from isthmus.api.resource import Ref
from isthmus.console.cli import main
from isthmus.console.membership.remote_secret import RemoteSecret, remote_secret
from isthmus.console.membership.told import CannotGoOn
from isthmus.console.reader_account import READER
from isthmus.discovery.secret_claims import claims_of
from isthmus.kube.client import Client, Scope

WEST = {"name": "west", "server": "https://203.0.113.9:6443"}


@pytest.fixture
async def client(tmp_path, api_server):
    async with live_cluster(tmp_path) as served, Client(served.access) as made:
        yield made


async def test_what_is_printed_is_a_cluster_that_pilot_takes(client):
    text = await remote_secret(client, RemoteSecret(**WEST, life_s=600, server_name="west.example"))
    body = yaml.safe_load_all(text)
    found = next(each for each in body if each)
    assert found["metadata"]["name"] == "istio-remote-secret-west"
    data = {key: base64.b64encode(text.encode()).decode() for key, text in found["stringData"].items()}
    claims = claims_of(Ref("Secret", "istio-system", "s"), Secret(data=data))
    assert not claims.findings
    (spec,) = claims.specs
    assert (spec.id, spec.access.server, spec.access.server_name) == ("west", WEST["server"], "west.example")
    access = msgspec.structs.replace(spec.access, server=client.access.server, server_name=None)
    async with Client(access) as reader:
        assert await reader.request("GET", "/api/v1/namespaces")


async def test_an_account_that_is_not_there_is_not_made_up(client):
    with pytest.raises(CannotGoOn, match=r"no account istio-system/jane \(hint: kubectl create"):
        await remote_secret(client, RemoteSecret(**WEST, account="jane"))
    with pytest.raises(CannotGoOn, match=r"has no account istio-system/istio-reader"):
        await remote_secret(client, RemoteSecret(**WEST, makes_account=False))


async def test_a_plugin_of_whoever_reads_it_stands_in_the_place_of_a_token(client):
    plugin = {"plugin": "gcp", "plugin_config": {"scopes": "all", "a": "b"}}
    text = await remote_secret(client, RemoteSecret(**WEST, **plugin, life_s=600))
    (body,) = (each for each in yaml.safe_load_all(text) if each)
    (user,) = yaml.safe_load(body["stringData"]["west"])["users"]
    wanted = {"config": {"a": "b", "scopes": "all"}, "name": "gcp"}
    assert user == {"name": "west", "user": {"auth-provider": wanted}}
    secrets = await client.list_all(kind_named("Secret"), Scope("istio-system"))
    assert not [
        each for each in secrets.items if b"istio-reader-access" in each
    ]  # nobody has use for a token


async def test_of_a_control_plane_elsewhere_the_account_is_istiods(client):
    with pytest.raises(CannotGoOn, match=r"no account istio-system/istiod \(hint: .*--service-account"):
        await remote_secret(client, RemoteSecret(**WEST, is_config=True, life_s=600))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--auth-type", "plugin"], "needs --auth-plugin-name"),
        (["--auth-plugin-name", "gcp"], "are for --auth-type plugin"),
        (
            ["--auth-type", "plugin", "--auth-plugin-name", "g", "--auth-plugin-config", "a"],
            "is not KEY=VALUE",
        ),
    ],
)
def test_flags_of_plugins_belong_together(flags, said):
    ran = CliRunner().invoke(main, ["clusters", "secret", *flags])
    assert ran.exit_code == 2
    assert said in ran.output


@pytest.mark.skipif(istioctl() is None, reason=WITHOUT)
@pytest.mark.parametrize("api_server", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
@pytest.mark.parametrize(
    ("asked", "flags"),
    [
        ({}, ["--type=remote"]),
        ({"is_config": True, "account": READER}, ["--type=config"]),
        ({"plugin": "gcp"}, ["--auth-type=plugin", "--auth-plugin-name=gcp"]),
    ],
    ids=["remote", "config", "plugin"],
)
async def test_it_is_what_istioctl_prints(tmp_path, api_server, asked, flags):
    async with live_cluster(tmp_path) as served, Client(served.access) as client:
        ours = await remote_secret(client, RemoteSecret(**WEST, **asked))
        theirs = await _theirs(served, flags)
        assert _but_for_the_token(ours) == _but_for_the_token(theirs)


async def _theirs(served, flags):
    while True:
        process = await served.start(
            istioctl(), "create-remote-secret", "--name=west", f"--server={WEST['server']}", *flags,
            "--service-account=istio-reader-service-account", "--create-service-account=false",
        )  # fmt: skip
        out, err = await process.communicate()
        if b'no "ca.crt" data found' not in err:  # it makes a Secret, and may read that before it is filled
            assert process.returncode == 0, err
            return out.decode()


def _but_for_the_token(text):
    return re.sub(r"token: \S+", "token: …", text)
