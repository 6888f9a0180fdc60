from __future__ import annotations

import asyncio
import time
from base64 import b64encode

import pytest

from fakes.eventually import eventually
from fakes.pki import Pki
from fakes.served_webhooks import held_of
from isthmus.admission.bundles import Answered, Belief, bundle_patch
from isthmus.admission.certificate import NoServer, bundle, is_for, root_of, shown
from isthmus.admission.certificate_folder import CertificateFolder
from isthmus.kit import x509
from isthmus.kit.clock import ManualClock

OLD, NEW = Pki("old"), Pki("new")
HOST = "istiod.istio-system.svc"


def prints(pem):
    return [x509.fingerprint(each) for each in x509.load_bundle(pem)]


def test_the_bundle_has_every_root_once_that_lives():
    held = held_of(NEW)
    both = bundle(held, (OLD.roots, NEW.roots, b"no certificates", NEW.roots), time.time())
    assert prints(both) == prints(OLD.roots + NEW.roots)
    with pytest.raises(NoServer, match="ended"):
        bundle(held, (NEW.roots,), time.time() + 9999)


def test_a_bundle_by_which_we_are_not_believed_is_told_to_nobody():
    with pytest.raises(NoServer, match="is not of the roots"):
        bundle(held_of(NEW), (OLD.roots,), time.time())
    assert root_of(held_of(NEW), time.time()) == prints(NEW.roots)[0]
    for roots in (b"", b"no certificates", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(NoServer, match="is not of the roots"):
            root_of(held_of(NEW)._replace(roots=roots), time.time())


def test_a_certificate_for_another_name_is_not_shown():
    assert shown(held_of(NEW), HOST)
    assert shown(held_of(NEW, dns=("*.istio-system.svc",)), HOST)
    for names in ((), ("istio-pilot.istio-system.svc",), ("*.svc",)):
        with pytest.raises(NoServer, match=r"is not for istiod.istio-system.svc, .*hint"):
            shown(held_of(NEW, dns=names), HOST)
    with pytest.raises(NoServer, match="cannot be used"):
        shown(held_of(NEW)._replace(key=held_of(OLD).key), HOST)


def configuration(*bundles):
    hooks = [{"name": f"h{n}", "clientConfig": {"caBundle": each}} for n, each in enumerate(bundles)]
    return {"metadata": {"resourceVersion": "7"}, "webhooks": hooks}


def coded(pem):
    return b64encode(pem).decode()


def test_only_webhooks_that_believe_something_else_are_written():
    assert not bundle_patch(configuration(coded(OLD.roots), coded(b"# old\n" + OLD.roots)), OLD.roots)
    patch = bundle_patch(configuration(coded(OLD.roots), "", "%", coded(NEW.roots)), OLD.roots)
    assert patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert [each["path"] for each in patch[1:] if each["op"] == "add"] == [
        f"/webhooks/{number}/clientConfig/caBundle" for number in (1, 2, 3)
    ]
    assert not bundle_patch({"metadata": {}}, OLD.roots)


def test_of_webhooks_elsewhere_only_those_are_written_that_ask_us_by_a_name_of_our_certificate():
    held = held_of(NEW, dns=(HOST, "injector.example", "*.mesh.example"))
    answered = Answered((), "default", "istio-system", "west", lambda host: is_for(held, host))
    urls = [
        "https://injector.example:15017/inject",
        "https://a.mesh.example",
        "https://else.example",
        "",
        "https://[",
    ]
    hooks = [{"name": url, "clientConfig": {"url": url} if url else {"service": {}}} for url in urls]
    patch = bundle_patch({"metadata": {}, "webhooks": hooks}, NEW.roots, answered.asks_us)
    assert [each["value"] for each in patch[1:] if each["op"] == "test"] == urls[:2]
    assert not is_for(held._replace(chain=b"none"), "injector.example")
    assert is_for(held_of(NEW, addresses=("192.0.2.7",)), "192.0.2.7")


def test_all_clusters_must_believe_a_root_before_it_counts_as_believed():
    belief = Belief()
    belief.heard("east", [frozenset({"a", "b"})])
    belief.heard("west", [frozenset({"b", "c"}), frozenset({"b"})])
    assert belief.seen.value == {"b"}
    belief.heard("west", ())  # it has left
    assert belief.seen.value == {"a", "b"}
    belief.heard("east", ())
    assert belief.seen.value is None


async def test_belief_is_waited_for():
    belief = Belief()
    await belief.until("a")
    belief.seen.set(frozenset({"b"}))
    waiting = asyncio.create_task(belief.until("a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    belief.seen.set(frozenset({"a", "b"}))
    await waiting


def write(folder, held, roots=None):
    for name, content in (("tls.crt", held.chain), ("tls.key", held.key), ("ca.crt", roots or held.roots)):
        (folder / name).write_bytes(content)


async def test_a_folder_is_followed_and_what_does_not_fit_is_not_taken(tmp_path):
    folder = CertificateFolder(tmp_path, ManualClock(time.time()))
    folder.look()
    assert folder.held.value is None
    first, second = held_of(OLD), held_of(NEW)
    write(tmp_path, first)
    folder.look()
    assert folder.held.value.serial == first.serial
    for spoil in (
        lambda: write(tmp_path, second, OLD.roots),
        lambda: write(tmp_path, second._replace(key=first.key)),
        lambda: write(tmp_path, second._replace(chain=b"none")),
        (tmp_path / "tls.key").unlink,
    ):
        spoil()
        folder.look()
        assert folder.held.value.serial == first.serial
    write(tmp_path, second)
    running = asyncio.create_task(folder.run())
    await eventually(lambda: asyncio.sleep(0, folder.held.value.serial == second.serial))
    running.cancel()
