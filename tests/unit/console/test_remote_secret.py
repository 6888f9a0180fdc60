"""The Secret that istioctl would print: byte for byte but for the token, and accepted by Pilot."""

from __future__ import annotations

import base64
import re

import msgspec
import pytest
import yaml

from e2e.stock_istioctl import WITHOUT, istioctl
from fakes.live_cluster import live_cluster
from isthmus.api.core.secret import Secret
from isthmus.api.resource import Ref
from isthmus.console.membership.remote_secret import RemoteSecret, remote_secret
from isthmus.console.membership.told import CannotGoOn
from isthmus.discovery.source_secrets import claims_of
from isthmus.kube.client import Client

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


@pytest.mark.skipif(istioctl() is None, reason=WITHOUT)
@pytest.mark.parametrize("api_server", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
@pytest.mark.parametrize("kind", ["remote", "config"])
async def test_it_is_what_istioctl_prints(tmp_path, api_server, kind):
    async with live_cluster(tmp_path) as served, Client(served.access) as client:
        ours = await remote_secret(client, RemoteSecret(**WEST, is_config=kind == "config"))
        process = await served.start(
            istioctl(), "create-remote-secret", "--name=west", f"--server={WEST['server']}", f"--type={kind}",
            "--service-account=istio-reader-service-account", "--create-service-account=false",
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert _but_for_the_token(ours) == _but_for_the_token(out.decode())


def _but_for_the_token(text):
    return re.sub(r"token: \S+", "token: …", text)
