"""What `isthmus ca status` says is wrong: each warning by the smallest mesh that has it, and a mesh that has none."""

from __future__ import annotations

import re

from msgspec.structs import replace

from isthmus.ca.denied import Denial
from isthmus.console.certificate_warnings import age, warnings
from isthmus.console.certificates_text import CertificateStatus, as_text, as_tree
from isthmus.console.held_certificates import Connected, HeldByCitadel, HeldByProxy, HeldInCluster, Published
from isthmus.kit.certified import Certified
from isthmus.model.findings import Severity
from isthmus.model.holdings import CitadelHolding, Failure, Holding, Refusal

NOW = 1_800_000_000.0
DAY = 86_400.0


def authority(name: str, left_s: float = 3000 * DAY, life_s: float = 3650 * DAY) -> Certified:
    sha256 = f"{name.encode().hex():0<64}"
    return Certified(name=name, sha256=sha256, begin=NOW + left_s - life_s, end=NOW + left_s, authority=True)


ROOT, OTHER = authority("root"), authority("other root")
EAST, WEST = authority("east CA"), authority("west CA")


def holding(account: str = "reviews", issuer: Certified = EAST, left_s: float = DAY / 2, **more) -> Holding:
    identity = f"spiffe://cluster.local/ns/default/sa/{account}"
    end = NOW + left_s
    leaf = Certified(name=identity, serial="7f", issuer=issuer.name, begin=end - DAY, end=end)
    usual = {"chain": (leaf, issuer), "roots": (ROOT,), "renews": NOW + 60}
    return Holding(identity=identity, **(usual | more))


def citadel(cluster: str, issuer: Certified, roots=(ROOT,), **more) -> HeldByCitadel:
    chain = (issuer, roots[0])
    said = CitadelHolding(
        cluster=cluster, trust_domain="cluster.local", issuer="own", roots=roots, chain=chain, **more
    )
    return HeldByCitadel(pod="istio-citadel-1", said=said)


def cluster(name: str = "east", issuer: Certified = EAST, **more) -> HeldInCluster:
    usual = {
        "citadels": (citadel(name, issuer),),
        "published": (Published(namespace="default", roots=(ROOT,)),),
        "proxies": (HeldByProxy(namespace="default", pod="reviews-1", said=holding(issuer=issuer)),),
    }
    return HeldInCluster(name=name, **(usual | more))


def proxies(*said: Holding) -> tuple[HeldByProxy, ...]:
    return tuple(
        HeldByProxy(namespace="default", pod=f"reviews-{count}", said=each)
        for count, each in enumerate(said, start=1)
    )


def said_of(*clusters: HeldInCluster) -> list[tuple[str, str]]:
    return [(each.severity.value, f"{each.who}: {each.message}") for each in warnings(clusters, NOW)]


def test_of_a_mesh_that_is_well_nothing_is_said():
    assert said_of(cluster(), cluster("west", WEST)) == []


def test_a_certificate_that_has_ended_is_an_error_and_says_why_it_was_not_renewed():
    failure = Failure("citadel is away", NOW - 5)
    assert said_of(cluster(proxies=proxies(holding(left_s=-180, failure=failure)))) == [
        ("error", "default/reviews-1: its certificate ended 3m ago: citadel is away")
    ]


def test_who_failed_to_renew_is_told_before_anything_ends():
    failure = Failure("the token is not authentic", NOW - 5)
    assert said_of(cluster(proxies=proxies(holding(failure=failure)))) == [
        (
            "warning",
            "default/reviews-1: was not renewed 5s ago, and ends in 12h: the token is not authentic",
        )
    ]


def test_who_has_no_certificate_is_told():
    assert said_of(cluster(proxies=proxies(holding(chain=(), roots=())))) == [
        ("error", "default/reviews-1: has no certificate")
    ]


def test_who_forgot_to_renew_is_told():
    assert said_of(cluster(proxies=proxies(holding(renews=NOW - 600)))) == [
        ("warning", "default/reviews-1: was to be renewed 10m ago, ends in 12h")
    ]


def test_who_is_in_the_last_tenth_of_its_life_is_told():
    assert said_of(cluster(proxies=proxies(holding(left_s=DAY / 20, renews=0.0)))) == [
        ("warning", "default/reviews-1: ends in 1h12m")
    ]


def test_a_root_and_an_intermediate_are_told_a_month_before_they_end():
    soon = authority("root", left_s=20 * DAY)
    ending = cluster(citadels=(citadel("east", EAST, (soon,)),))
    assert said_of(ending) == [
        ("warning", f"Citadel istio-citadel-1: 'root' ({soon.sha256[:12]}…) ends in 20 d {MEND}")
    ]
    ended = authority("east CA", left_s=-3600)
    assert said_of(cluster(citadels=(citadel("east", ended),))) == [
        ("error", f"Citadel istio-citadel-1: 'east CA' ({ended.sha256[:12]}…) ended 1h ago {MEND}")
    ]


SINCE = "7s ago (3 times)"
MEND = "(hint: docs/guides/look-at-certificates.md)"


def test_a_short_lived_authority_is_told_in_the_last_quarter_of_its_life():
    fresh, old = (authority("east CA", left_s=left * DAY, life_s=10 * DAY) for left in (5, 2.4))
    assert said_of(cluster(citadels=(citadel("east", fresh),))) == []
    (found,) = said_of(cluster(citadels=(citadel("east", old),)))
    assert "ends in 2 d" in found[1]


def test_who_holds_an_old_root_and_who_lacks_the_new_one_is_told():
    both = cluster(
        citadels=(citadel("east", EAST, (ROOT, OTHER)),),
        published=(Published(namespace="default", roots=(ROOT, OTHER)),),
    )
    assert said_of(both) == [
        ("warning", f"default/reviews-1: does not hold other root ({OTHER.sha256[:12]}…) yet")
    ]
    left = cluster(proxies=proxies(holding(roots=(ROOT, OTHER))))
    assert said_of(left) == [
        (
            "warning",
            f"default/reviews-1: holds roots that no Citadel stands for: other root ({OTHER.sha256[:12]}…)",
        )
    ]


def test_a_certificate_of_an_intermediate_that_was_replaced_is_told_for_information():
    assert said_of(cluster(proxies=proxies(holding(issuer=WEST)))) == [
        (
            "info",
            "default/reviews-1: its certificate is of 'west CA', which signs nowhere now, until it is renewed",
        )
    ]


def test_namespaces_whose_pods_get_no_roots_or_others_are_told():
    spaces = (
        Published(namespace="default", roots=(OTHER,)),
        Published(namespace="shop", error="there is no ConfigMap istio-ca-root-cert"),
    )
    assert said_of(cluster(published=spaces)) == [
        (
            "warning",
            f"namespace default: its pods get other roots than Citadel's: other root ({OTHER.sha256[:12]}…)",
        ),
        ("warning", "namespace shop: its pods get no roots: there is no ConfigMap istio-ca-root-cert"),
    ]


def test_clusters_that_do_not_believe_each_other_are_an_error_each_way():
    far = cluster(
        "west",
        WEST,
        citadels=(citadel("west", WEST, (OTHER,)),),
        published=(Published(namespace="default", roots=(OTHER,)),),
        proxies=proxies(holding(issuer=WEST, roots=(OTHER,))),
    )
    found = warnings((cluster(), far), NOW)
    assert [(each.severity, each.cluster) for each in found] == [
        (Severity.ERROR, "east"),
        (Severity.ERROR, "west"),
    ]
    assert found[0].message == (
        f"workloads are not believed in cluster 'west', which lacks root ({ROOT.sha256[:12]}…)"
    )


def test_citadels_that_are_silent_missing_or_refuse_are_told():
    silent = HeldByCitadel(pod="istio-citadel-1", error="connection refused")
    assert said_of(cluster(citadels=(silent,)))[0] == (
        "error",
        "Citadel istio-citadel-1: does not answer: connection refused",
    )
    assert said_of(cluster(citadels=()))[0][1].startswith("citadel: no Citadel runs here")
    refusal = Refusal(identity="", address="ipv4:10.0.0.9", reason="no bearer token", at=NOW - 7, count=3)
    refusing = cluster(citadels=(citadel("east", EAST, refused=(refusal,)),))
    assert said_of(refusing) == [
        (
            "warning",
            f"Citadel istio-citadel-1: gave a caller at ipv4:10.0.0.9 no certificate, {SINCE}: no bearer token",
        )
    ]


def test_agents_that_say_nothing_are_told_for_information():
    silent = HeldByProxy(namespace="default", pod="reviews-1", error="connection refused")
    assert said_of(cluster(proxies=(silent,))) == [
        ("info", "default/reviews-1: does not say what it holds: connection refused")
    ]


def test_proxies_that_only_pilot_knows_are_told():
    connected = (
        Connected(cluster="east", namespace="default", pod="reviews-1", end=NOW + 60),
        Connected(cluster="west", namespace="default", pod="ratings-1", end=NOW + 60),
        Connected(cluster="east", namespace="default", pod="vm-1", end=NOW - 60),
    )
    assert said_of(cluster(connected=connected)) == [
        ("error", "default/vm-1 of cluster east: its certificate ended 1m ago, as it told Pilot"),
        ("info", "Pilot: 1 proxies of cluster 'east' are connected, and are no pods of it"),
        (
            "info",
            "Pilot: 1 proxies of cluster 'west' are connected, and were not asked (hint: --context of that cluster)",
        ),
    ]


REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"


def denial(serial: str = "", until: float = NOW + 60) -> Denial:
    sha256 = "ab" * 32 if serial else ""
    return Denial(
        identity=REVIEWS,
        since=NOW - 60,
        by="ann",
        serial=serial,
        sha256=sha256,
        until=until if serial else 0.0,
    )


def test_pods_with_denied_certificates_and_lists_that_differ_are_told():
    for one, what in (
        (denial(), "reviews is denied"),
        (denial("7f"), "certificate 7f of .*reviews is denied"),
    ):
        east, west = cluster(denied=(one,)), cluster("west", denied=(one,), proxies=())
        ((severity, text),) = said_of(east, west)
        assert severity == "warning"
        assert re.search(f"default/reviews-1: is let in nowhere: .*{what}", text)
        lacks = replace(west, denied=())
        assert (
            "error",
            (
                f"denied: {one.name} is denied elsewhere and not here "
                "(hint: isthmus ca deny, with the --context of each cluster)"
            ),
        ) in said_of(east, lacks)
    assert said_of(cluster(denied=(denial("7f", NOW - 1),)), cluster("west", proxies=())) == []
    ((severity, text),) = said_of(cluster(denied_error="not a list"))
    assert (severity, text) == ("error", "denied: the list cannot be read: not a list")


def test_who_is_denied_is_shown_by_whom_and_until_when():
    east = cluster(denied=(denial(), denial("7f00aa"), denial("80", NOW - 1)))
    west = cluster("west", denied=east.denied)
    status = CertificateStatus(at=NOW, warnings=(), clusters=(east, west))
    *_, head, first, second = as_text(status).splitlines()
    assert head.split() == ["DENIED", "CERTIFICATE", "SINCE", "UNTIL", "BY", "REASON"]
    assert first.split() == [REVIEWS, "all", "of", "it", "2027-01-15", "07:59", "allowed", "ann", "-"]
    assert second.split() == [REVIEWS, "7f00aa", "2027-01-15", "07:59", "2027-01-15", "08:01", "ann", "-"]
    told = as_tree(status)["clusters"][0]["denied"]
    assert (told[1]["until"], told[1]["by"]) == ("2027-01-15T08:01:00Z", "ann")


def test_ages_are_said_in_two_units_at_most():
    assert [age(each) for each in (0, 59, 3600, 3661, 86_400 * 1.5, 86_400 * 20.9, -90)] == [
        "0s",
        "59s",
        "1h",
        "1h1m",
        "36h",
        "20 d",
        "1m30s",
    ]


def test_the_text_has_what_is_wrong_first_and_what_expires_next_on_top_of_its_table():
    said = proxies(*(holding(left_s=3600.0 * left) for left in (9, 3, 12)))
    failing = replace(said[2], said=replace(said[2].said, failure=Failure("away", NOW)))
    clusters = (cluster(proxies=(*said[:2], failing)),)
    text = as_text(CertificateStatus(at=NOW, warnings=warnings(clusters, NOW), clusters=clusters))
    first, roots, authorities, workloads = text.split("\n\n")
    assert "WARNING    east      default/reviews-3   was not renewed" in first
    assert roots.splitlines()[1].split()[:7] == ["root", ROOT.sha256[:12], "east", "1", "of", "1", "3"]
    assert "east CA" in authorities.splitlines()[1]
    assert [line.split()[1] for line in workloads.splitlines()[1:]] == [
        "default/reviews-2",
        "default/reviews-1",
        "default/reviews-3",
    ]


def test_many_proxies_are_cut_in_the_table_and_whole_on_request_and_for_programs():
    clusters = (cluster(proxies=proxies(*(holding() for _ in range(50)))),)
    status = CertificateStatus(at=NOW, warnings=(), clusters=clusters)
    assert as_text(status).endswith("… and 30 that end later (hint: --all)")
    assert as_text(status, whole=True).count("default/reviews-") == 50
    tree = as_tree(status)
    assert tree["at"] == "2027-01-15T08:00:00Z"
    assert len(tree["clusters"][0]["proxies"]) == 50
    assert tree["clusters"][0]["proxies"][0]["said"]["chain"][0]["end"] == "2027-01-15T20:00:00Z"
