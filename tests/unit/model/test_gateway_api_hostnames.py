from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.from_gateway_api.hostnames import common, covering, covers, meets, shared

labels = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)
hosts = st.one_of(st.just(""), labels, labels.map("*.{}".format))


def test_a_wildcard_covers_any_number_of_labels_but_not_none():
    assert covers("*.a.com", "x.y.a.com")
    assert covers("*.a.com", "*.b.a.com")
    assert not covers("*.a.com", "a.com")
    assert not covers("a.com", "*.a.com")


@given(hosts, st.lists(hosts, max_size=6))
def test_what_covers_a_host_is_found_without_asking_each(host, others):
    found = list(covering(host))
    assert len(found) == len(set(found))
    for other in others:
        assert (other in found) == covers(other, host)
    assert meets(host, set(others)) == any(common(host, other) is not None for other in others)


@given(hosts, hosts)
def test_what_two_hosts_have_in_common_is_covered_by_both(one, other):
    both = common(one, other)
    assert both == common(other, one)
    if both is not None:
        assert covers(one, both)
        assert covers(other, both)


def test_of_several_words_for_one_host_the_most_specific_is_kept():
    assert shared("x.a.com", ["*.com", "*.a.com", "b.com"]) == (("x.a.com", "*.a.com"),)
    assert shared("", []) == (("", ""),)
