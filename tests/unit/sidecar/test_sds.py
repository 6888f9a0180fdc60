"""What is said over SDS, read and written here by Envoy's own message classes."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from fakes.eventually import eventually
from isthmus.envoy.types import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Secret,
)
from isthmus.kit.clock import ManualClock
from isthmus.kit.watchable import Watchable
from isthmus.sidecar import sds
from isthmus.sidecar.certs import Held
from isthmus.sidecar.secret_messages import Asked, read_delta, read_sotw
from isthmus.sidecar.taken import Taken
from isthmus.wire.stream import Peer, Refused
from isthmus.xds.type_urls import CLUSTER, SECRET

NOW = 1_800_000_000.0
HELD = Held(b"chain", b"key", b"roots", "1f", NOW, NOW + 100)


class EnvoyStream:
    """A stream whose other side is the test."""

    peer = Peer("unix:")
    metadata: dict[str, str] = {}

    def __init__(self) -> None:
        self._says: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, request: DiscoveryRequest | DeltaDiscoveryRequest) -> None:
        self._says.put_nowait(request.SerializeToString())

    def say_bytes(self, message: bytes | None) -> None:
        self._says.put_nowait(message)

    async def heard(self) -> bytes:
        async with asyncio.timeout(10):
            return await self._heard.get()

    async def receive(self) -> bytes | None:
        return await self._says.get()

    async def send(self, message: bytes) -> None:
        self._heard.put_nowait(message)


def talk(path: str, stream: EnvoyStream, held: Watchable[Held | None]):
    return sds.services(held, ManualClock(NOW))[path].talk(stream)


def test_secrets_are_what_envoy_reads():
    found = sds.secrets(HELD, NOW)
    roots, pair = Secret.FromString(found["ROOTCA"].body), Secret.FromString(found["default"].body)
    assert roots == Secret(name="ROOTCA", validation_context={"trusted_ca": {"inline_bytes": b"roots"}})
    assert pair.name == "default"
    assert pair.tls_certificate.certificate_chain.inline_bytes == b"chain"
    assert pair.tls_certificate.private_key.inline_bytes == b"key"


def test_a_certificate_that_has_ended_is_not_handed_out_and_without_one_nothing_is():
    assert set(sds.secrets(HELD, HELD.end)) == {"ROOTCA"}
    assert sds.secrets(None, NOW) == {}


def test_requests_are_read_as_envoy_writes_them():
    sotw = DiscoveryRequest(
        version_info="7", resource_names=["default", "ROOTCA"], type_url=SECRET, response_nonce="3"
    )
    sotw.node.id = "sidecar~10.0.0.1~a.b~b.svc"
    assert read_sotw(sotw.SerializeToString()) == Asked(SECRET, "3", ("default", "ROOTCA"))
    delta = DeltaDiscoveryRequest(
        type_url=SECRET,
        resource_names_subscribe=["default"],
        resource_names_unsubscribe=["ROOTCA"],
        initial_resource_versions={"default": "v1", "ROOTCA": "v2"},
        response_nonce="4",
    )
    delta.error_detail.message = "no such key"
    delta.error_detail.code = 3
    assert read_delta(delta.SerializeToString()) == Asked(
        SECRET, "4", ("default",), ("ROOTCA",), {"default": "v1", "ROOTCA": "v2"}, "no such key"
    )


async def test_an_envoy_is_told_again_when_the_certificate_changes_and_not_otherwise():
    stream, held = EnvoyStream(), Watchable[Held | None](None)
    async with asyncio.TaskGroup() as group:
        group.create_task(talk(sds.STREAM_SECRETS, stream, held))
        stream.say(DiscoveryRequest(type_url=SECRET, resource_names=["default"]))
        held.set(HELD)
        first = DiscoveryResponse.FromString(await stream.heard())
        stream.say(DiscoveryRequest(type_url=SECRET, resource_names=["default"], response_nonce=first.nonce))
        held.set(HELD._replace(roots=b"others"))  # concerns a name that was not asked for
        held.set(HELD._replace(chain=b"next"))
        second = DiscoveryResponse.FromString(await stream.heard())
        stream.say_bytes(None)
    assert (first.type_url, len(first.resources)) == (SECRET, 1)
    assert (
        Secret.FromString(second.resources[0].value).tls_certificate.certificate_chain.inline_bytes == b"next"
    )
    assert (first.nonce, second.nonce) == ("1", "2")
    assert first.version_info != second.version_info


async def test_the_delta_dialect_sends_what_envoy_lacks():
    stream, held = EnvoyStream(), Watchable[Held | None](HELD)
    known = sds.secrets(HELD, NOW)["ROOTCA"].version
    async with asyncio.TaskGroup() as group:
        group.create_task(talk(sds.DELTA_SECRETS, stream, held))
        stream.say(
            DeltaDiscoveryRequest(
                type_url=SECRET,
                resource_names_subscribe=["default", "ROOTCA"],
                initial_resource_versions={"ROOTCA": known},
            )
        )
        answer = DeltaDiscoveryResponse.FromString(await stream.heard())
        stream.say_bytes(None)
    (resource,) = answer.resources
    assert (resource.name, resource.resource.type_url) == ("default", SECRET)


@pytest.mark.parametrize(
    "message", [b"\xff\xff", DiscoveryRequest(type_url=CLUSTER, resource_names=["a"]).SerializeToString()]
)
async def test_what_is_no_request_for_secrets_is_refused(message: bytes):
    stream = EnvoyStream()
    stream.say_bytes(message)
    with pytest.raises(Refused, match=r"not a discovery request|only secrets are served here"):
        await talk(sds.STREAM_SECRETS, stream, Watchable[Held | None](HELD))


def test_an_agent_does_not_load_envoys_message_classes():
    # They would be a tenth of its memory, in every pod.
    code = "import sys, isthmus.sidecar.environment; print('google.protobuf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_certificates_in_files_are_served_and_again_when_they_change(tmp_path):
    certificate, key, roots = tmp_path / "crt", tmp_path / "key", tmp_path / "ca"
    certificate.write_bytes(b"chain 1")
    key.write_bytes(b"key 1")
    pair, trusted = f"file-cert:{certificate}~{key}", f"file-root:{roots}~{roots}"
    clock, stream = ManualClock(NOW), EnvoyStream()
    conversation = asyncio.create_task(sds.services(Watchable(HELD), clock)[sds.STREAM_SECRETS].talk(stream))
    stream.say(DiscoveryRequest(type_url=SECRET, resource_names=[pair, trusted]))

    def read(message):
        found = [Secret.FromString(each.value) for each in DiscoveryResponse.FromString(message).resources]
        return {each.name: each for each in found}

    first = read(await stream.heard())
    assert set(first) == {pair}, "the roots are not there yet, which keeps nothing else from being served"
    assert first[pair].tls_certificate.certificate_chain.inline_bytes == b"chain 1"
    certificate.write_bytes(b"chain 2")
    roots.write_bytes(b"roots")
    await clock.advance(10)
    again = read(await stream.heard())
    assert again[pair].tls_certificate.certificate_chain.inline_bytes == b"chain 2"
    assert again[trusted].validation_context.trusted_ca.inline_bytes == b"roots"
    assert again[trusted].validation_context.crl.inline_bytes == b"roots"
    stream.say_bytes(None)
    await conversation


async def test_only_what_envoy_has_accepted_on_all_of_its_streams_is_taken():
    held, taken = Watchable[Held | None](HELD), Taken()
    table = sds.services(held, ManualClock(NOW), taken)
    sotw, delta = EnvoyStream(), EnvoyStream()
    renewed = HELD._replace(chain=b"next", roots=b"more roots")

    async def is_taken(wanted: Held) -> bool:
        return taken.held.value is wanted

    async with asyncio.TaskGroup() as group:
        group.create_task(table[sds.STREAM_SECRETS].talk(sotw))
        group.create_task(table[sds.DELTA_SECRETS].talk(delta))
        sotw.say(DiscoveryRequest(type_url=SECRET, resource_names=["default"]))
        await sotw.heard()
        delta.say(DeltaDiscoveryRequest(type_url=SECRET, resource_names_subscribe=["ROOTCA"]))
        await delta.heard()
        assert taken.held.value is None
        sotw.say(DiscoveryRequest(type_url=SECRET, resource_names=["default"], response_nonce="1"))
        delta.say(DeltaDiscoveryRequest(type_url=SECRET, response_nonce="1"))
        await eventually(lambda: is_taken(HELD))
        held.set(renewed)
        await sotw.heard()
        await delta.heard()
        sotw.say(DiscoveryRequest(type_url=SECRET, resource_names=["default"], response_nonce="2"))
        refusal = DeltaDiscoveryRequest(type_url=SECRET, response_nonce="2")
        refusal.error_detail.message = "no roots"
        delta.say(refusal)
        await asyncio.sleep(0.05)
        assert taken.held.value is HELD
        delta.say_bytes(None)
        await eventually(lambda: is_taken(renewed))
        sotw.say_bytes(None)
