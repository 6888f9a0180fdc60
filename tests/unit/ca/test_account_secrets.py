"""The Secrets of service accounts, as in 2018: at a real API server, under the Role that comes with them."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes.eventually import eventually
from isthmus.api.core.secret import Secret
from isthmus.api.resource import Object, Ref
from isthmus.ca import store
from isthmus.ca.account_objects import OwnDesk
from isthmus.ca.account_secrets import Account, AccountSecrets, Bundle, Renewal
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Authority, Lifetimes
from isthmus.ca.dns_names import DnsNames
from isthmus.ca.founding import found
from isthmus.ca.in_cluster import run_citadel
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.console.installation import Installation
from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from unit.ca.installed import Installed, installed, settings

DAY_S = 86_400.0
EVERYWHERE = Installation(cluster="gke", layout="apart", account_secrets=("*",))


async def pems(place: Installed, account: str, namespace: str = "default") -> dict[str, bytes]:
    """What is in an account's Secret; nothing where there is none."""
    found_: Any = await place.find("secrets", f"istio.{account}", namespace)
    return {name: base64.b64decode(text) for name, text in found_["data"].items()} if found_ else {}


async def has(place: Installed, account: str, namespace: str = "default") -> bool:
    return bool(await pems(place, account, namespace))


async def delete(place: Installed, plural: str, name: str, namespace: str = "default") -> None:
    await place.cluster.delete(plural, namespace, name)


async def test_every_account_has_a_secret_as_istio_wrote_it(tmp_path: Path, api_server: str):
    found(tmp_path / "cacerts")
    async with installed(tmp_path, EVERYWHERE) as place:
        await place.make("serviceaccounts", "ServiceAccount", "reviews")
        mine = settings(tmp_path, account_secrets=Renewal(), audit_file=tmp_path / "audit")
        async with supervise(run_citadel(mine, place.citadel)):
            await eventually(lambda: has(place, "reviews"))
            await eventually(lambda: has(place, "istio-pilot-service-account", "istio-system"))
        secret: Any = await place.find("secrets", "istio.reviews")
        assert secret["type"] == "istio.io/key-and-cert"
        assert secret["metadata"]["annotations"] == {"istio.io/service-account.name": "reviews"}
        content = await pems(place, "reviews")
        assert set(content) == {"cert-chain.pem", "key.pem", "root-cert.pem"}
        leaf, *between = x509.load_bundle(content["cert-chain.pem"])
        roots = x509.load_bundle(content["root-cert.pem"])
        assert verify_chain(leaf, between, roots, SystemClock().now())[-1] in roots
        assert x509.matches(leaf, x509.load_key(content["key.pem"]))
        names = x509.names(leaf)
        assert names.uris == ("spiffe://cluster.local/ns/default/sa/reviews",)
        assert names.dns == ("gke.clusters.cluster.local",)
        assert '"proof":"secret istio.reviews"' in (tmp_path / "audit").read_text()


async def test_secrets_come_back_follow_their_accounts_and_are_not_made_anew_without_need(
    tmp_path: Path, api_server: str
):
    found(tmp_path / "cacerts")
    async with installed(tmp_path, EVERYWHERE) as place:
        mine = settings(tmp_path, account_secrets=Renewal())
        async with supervise(run_citadel(mine, place.citadel)):
            await place.make("serviceaccounts", "ServiceAccount", "reviews")
            await place.make("serviceaccounts", "ServiceAccount", "ratings")
            await eventually(lambda: has(place, "reviews"))
            await eventually(lambda: has(place, "ratings"))
            first, ratings = await pems(place, "reviews"), await pems(place, "ratings")
            await delete(place, "secrets", "istio.reviews")
            await eventually(lambda: has(place, "reviews"))
            assert await pems(place, "reviews") != first
            await delete(place, "serviceaccounts", "reviews")
            await eventually(lambda: gone(place, "reviews"))
        async with supervise(run_citadel(settings(tmp_path, account_secrets=Renewal()), place.citadel)):
            await place.make("serviceaccounts", "ServiceAccount", "details")
            await eventually(lambda: has(place, "details"))
        assert await pems(place, "ratings") == ratings


async def gone(place: Installed, account: str) -> bool:
    return not await pems(place, account)


async def test_a_changed_root_and_what_others_wrote_are_made_good(tmp_path: Path, api_server: str):
    found(tmp_path / "cacerts")
    async with installed(tmp_path, EVERYWHERE) as place:
        await place.make("serviceaccounts", "ServiceAccount", "reviews")
        await place.make("serviceaccounts", "ServiceAccount", "ratings")
        nonsense = {"key.pem": "bm8=", "cert-chain.pem": "bm8="}
        await place.make("secrets", "Secret", "istio.ratings", data=nonsense, type="istio.io/key-and-cert")
        mine = settings(tmp_path, account_secrets=Renewal(), reload_s=0.05)
        async with supervise(run_citadel(mine, place.citadel)):
            await eventually(lambda: has(place, "reviews"))
            old = (await pems(place, "reviews"))["root-cert.pem"]
            found(tmp_path / "new")
            new = (tmp_path / "new" / "root-cert.pem").read_bytes()
            for name in store.FILES:
                (tmp_path / "new" / name).replace(tmp_path / "cacerts" / name)

            async def all_new() -> bool:
                held = [
                    (await pems(place, account)).get("root-cert.pem", b"")
                    for account in ("reviews", "ratings")
                ]
                return all(new in roots and roots != old for roots in held)

            await eventually(all_new)


def authority_in(folder: Path) -> Authority:
    """The CA in a new folder."""
    found(folder)
    material = store.verify(store.read(folder), SystemClock().now())
    return Authority(material.roots, material.chain, material.key)


class KeptInMind:
    """Secrets that are told to whoever follows them, as by a watch."""

    def __init__(self, *told: AccountSecrets) -> None:
        self.told, self.writes = [*told], 0

    async def write(self, account: Account, bundle: Bundle) -> None:
        self.writes += 1
        content = {"cert-chain.pem": bundle.chain, "key.pem": bundle.key, "root-cert.pem": bundle.roots}
        data = {name: base64.b64encode(pem).decode() for name, pem in content.items()}
        for each in self.told:
            each.secret_seen(Ref("Secret", account.namespace, account.secret), Secret(data=data))

    async def delete(self, account: Account) -> None:
        raise AssertionError("nothing is too much")


async def test_of_two_citadels_each_secret_is_written_once_when_the_root_changes(tmp_path: Path):
    old, new = (authority_in(tmp_path / name) for name in ("old", "new"))
    place = KeptInMind()
    seen: list[tuple[Watchable[Authority], Watchable[bool], AccountSecrets]] = []
    for holds in (True, False):
        authority = Watchable(old)
        desk = OwnDesk(
            OwnIssuer(authority), DnsNames(cluster="gke"), "cluster.local", Audit(None, SystemClock())
        )
        kept = AccountSecrets(place, desk, authority, Renewal(), SystemClock())
        for name in ("reviews", "ratings"):
            kept.account_seen(Ref("ServiceAccount", "default", name), Object())
        place.told.append(kept)
        seen.append((authority, Watchable(holds), kept))
    (first, writes, one), (second, waits, other) = seen

    async def are(count: int) -> bool:
        return place.writes == count

    async with supervise(one.run(writes)), supervise(other.run(waits)):
        await eventually(lambda: are(2))
        first.set(new)
        await eventually(lambda: are(4))
        second.set(new)  # by then all is as it is to be
        await asyncio.sleep(0.05)
        writes.set(False)
        waits.set(True)
        await asyncio.sleep(0.05)
        assert await are(4)


async def test_a_secret_is_renewed_before_it_ends(tmp_path: Path, api_server: str):
    found(tmp_path / "cacerts")
    async with installed(tmp_path, EVERYWHERE) as place:
        await place.make("serviceaccounts", "ServiceAccount", "reviews")
        mine = settings(
            tmp_path,
            account_secrets=Renewal(least_grace_s=1),
            lifetimes=Lifetimes(usual_s=4, least_s=1),
        )
        async with supervise(run_citadel(mine, place.citadel)):
            seen = set()
            while len(seen) < 3:
                if content := await pems(place, "reviews"):
                    leaf = x509.load_certificate(content["cert-chain.pem"])
                    assert SystemClock().now() < x509.life(leaf).end
                    seen.add(x509.serial(leaf))
                await asyncio.sleep(0.05)


async def test_without_the_option_citadel_may_not_and_does_not(tmp_path: Path, api_server: str):
    found(tmp_path / "cacerts")
    async with installed(
        tmp_path, Installation(cluster="gke", layout="apart", account_secrets=("istio-system",))
    ) as place:
        await place.make("serviceaccounts", "ServiceAccount", "reviews")
        mine = settings(tmp_path, account_secrets=Renewal(namespaces=("istio-system",)))
        with capture_logs() as logs:
            async with supervise(run_citadel(mine, place.citadel)):
                await eventually(lambda: has(place, "istio-pilot-service-account", "istio-system"))
        assert not await pems(place, "reviews")
        assert not [log for log in logs if log["log_level"] == "error"]


@pytest.mark.parametrize(
    ("renewal", "life_s", "left_s"),
    [
        (Renewal(), DAY_S, DAY_S / 2),
        (Renewal(grace_ratio=0.2), DAY_S, DAY_S / 5),
        (Renewal(), 1000, 600),
        (Renewal(), 60, 48),
    ],
)
def test_a_secret_is_due_while_enough_of_its_life_is_left(renewal: Renewal, life_s: float, left_s: float):
    assert renewal.due(0, life_s, 0) == pytest.approx(life_s - left_s)


def test_secrets_of_one_moment_are_not_due_in_one_moment():
    assert Renewal().due(0, DAY_S, -1) - Renewal().due(0, DAY_S, 1) == pytest.approx(DAY_S / 10)
