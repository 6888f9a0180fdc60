from __future__ import annotations

import pytest

from isthmus.lab.spec import TALK, LabSpec, SpecError, check, read_spec, with_families

ONE = """
clusters:
- name: gke
  podCIDR: 10.124.0.0/16
  serviceCIDR: {services}
  node: n1
  nodeAddress: {node}
  apiAddress: 10.138.0.100
  region: us-west1
link: {{delayMs: 20, jitterMs: 1}}
"""


def written(folder, services="10.125.0.0/16", node="10.138.0.2", more=""):
    path = folder / "lab.yaml"
    path.write_text(ONE.format(services=services, node=node) + more)
    return path


def test_the_lab_of_the_talk_is_right():
    check(TALK)
    gke, onprem = TALK.clusters
    assert (gke.dns_address, gke.api_service_address) == ("10.125.0.10", "10.125.0.1")
    assert (gke.region, onprem.region) == ("us-west1", "")


def test_a_lab_is_read_from_yaml(tmp_path):
    spec = read_spec(written(tmp_path))
    assert [cluster.name for cluster in spec.clusters] == ["gke"]
    assert (spec.link.delay_ms, spec.link.jitter_ms, spec.link.loss) == (20, 1, 0)


@pytest.mark.parametrize(
    ("services", "node", "more", "words"),
    [
        ("10.124.128.0/17", "10.138.0.2", "", r"serviceCIDR: 10.124.128.0/17 overlaps 10.124.0.0/16"),
        ("10.125.0.1/16", "10.138.0.2", "", r"\$.clusters\[0\].serviceCIDR: 10.125.0.1/16 has host bits set"),
        ("10.125.0.0/29", "10.138.0.2", "", "fewer than 64 addresses"),
        ("ten", "10.138.0.2", "", r"\$.clusters\[0\].serviceCIDR"),
        ("10.125.0.0/16", "here", "", r"\$.clusters\[0\].nodeAddress"),
        ("10.125.0.0/16", "10.138.0.2", "colour: red", "unknown field `colour`"),
        ("10.125.0.0/16", "10.138.0.2", "images: 7", r"\$.images"),
        ("10.125.0.0/16", "10.138.0.2", "a: [", "lab.yaml"),
    ],
)
def test_a_wrong_description_is_refused_with_the_place(tmp_path, services, node, more, words):
    with pytest.raises(SpecError, match=words):
        read_spec(written(tmp_path, services, node, more))


def two(path, *, networks=("cloud", "premises"), address="publicAddress: 198.51.100.1"):
    one = """
- {name: NAME, network: NETWORK, PUBLIC, podCIDR: 10.124.0.0/16, serviceCIDR: 10.125.0.0/16,
   node: NAME, nodeAddress: 10.138.0.2, apiAddress: 10.138.0.100}
"""
    several = "".join(
        one.replace("NAME", name).replace("NETWORK", network).replace("PUBLIC", address)
        for name, network in zip(("a", "b", "c"), networks, strict=False)
    )
    path.write_text(f"clusters:{several}")
    return path


def test_clusters_on_separate_networks_may_have_the_same_ranges(tmp_path):
    spec = read_spec(two(tmp_path / "lab.yaml"))
    assert spec.is_separate
    assert {each.balancer_address for each in spec.clusters} == {"198.51.100.1"}


def test_on_one_network_they_may_not(tmp_path):
    with pytest.raises(SpecError, match=r"clusters\[1\].podCIDR: 10.124.0.0/16 overlaps"):
        read_spec(two(tmp_path / "lab.yaml", networks=("one", "one")))


def test_networks_meet_by_public_addresses(tmp_path):
    with pytest.raises(SpecError, match=r"clusters\[0\].publicAddress: is missing"):
        read_spec(two(tmp_path / "lab.yaml", address="zone: a"))
    with pytest.raises(SpecError, match="some share a network and others do not"):
        read_spec(two(tmp_path / "lab.yaml", networks=("one", "two", "one")))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"missing\.yaml: cannot be read: No such file"):
        read_spec(tmp_path / "missing.yaml")


@pytest.mark.parametrize("clusters", [(), (TALK.clusters[0], TALK.clusters[0])])
def test_every_cluster_needs_a_name_of_its_own(clusters):
    with pytest.raises(SpecError, match="every cluster needs a name of its own"):
        check(LabSpec(clusters=clusters))


def test_a_lab_has_clusters_of_one_family_or_of_both() -> None:
    assert with_families(TALK, "ipv4") == TALK
    for families, versions in (("both", [4, 6]), ("ipv6", [6])):
        spec = with_families(TALK, families)
        check(spec)
        for cluster in spec.clusters:
            assert [6 if ":" in each.node_address else 4 for each in cluster.families] == versions
    gke, onprem = with_families(TALK, "ipv6").clusters
    assert (gke.dns_address, onprem.api_service_address) == ("fd00:1:2::a", "fd00:2:2::1")


def test_over_the_internet_all_are_of_one_family(tmp_path) -> None:
    four = read_spec(two(tmp_path / "lab.yaml"))
    six = with_families(four, "ipv6")
    check(six)
    assert [each.public_address for each in six.clusters] == ["2001:db8:1::1", "2001:db8:2::1"]
    for clusters in ((four.clusters[0], six.clusters[1]), with_families(four, "both").clusters):
        with pytest.raises(SpecError, match=r"\$.clusters\[\d\]: over the internet .* are of one family"):
            check(LabSpec(clusters=clusters))


@pytest.mark.parametrize(
    "more",
    [
        "  second: {podCIDR: 10.2.0.0/16, serviceCIDR: 10.3.0.0/16, nodeAddress: 10.4.0.1, apiAddress: 10.4.0.2}",
        '  second: {podCIDR: "fd00:1::/64", serviceCIDR: 10.3.0.0/16, nodeAddress: "fd00::1", apiAddress: "fd00::2"}',
        "  publicAddress: 198.51.100.1",
    ],
)
def test_families_are_not_mixed(tmp_path, more) -> None:
    path = written(tmp_path)
    text = path.read_text().replace("  region: us-west1", more)
    if "public" in more:
        text = text.replace("nodeAddress: 10.138.0.2", 'nodeAddress: "fd00::1"')
    path.write_text(text)
    with pytest.raises(SpecError, match=r"\$.clusters\[0\]: ranges and addresses are of mixed families"):
        read_spec(path)
