"""What the Gateway API comes to does not depend on the order in which its objects are found, nor can any crash it."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.gateway_api import CLASS, derived, objects, result_of
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.validate import problems as istio_problems

TYPES = {kind.name: kind.type for kind in KINDS}
HOSTS = ["a.com", "*.a.com", "x.a.com", "b.net"]
NAMESPACES = ["default", "other"]

names = st.sampled_from(["one", "two", "web"])
namespaces = st.sampled_from(NAMESPACES)
created = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"])
hosts = st.lists(st.sampled_from(HOSTS), max_size=2, unique=True)


def built(kind):
    return lambda name, namespace, when, spec: msgspec.convert(
        {"metadata": {"name": name, "namespace": namespace, "creationTimestamp": when}, "spec": spec},
        TYPES[kind],
    )


listeners = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["l1", "l2", "l3"]),
        "port": st.sampled_from([80, 443]),
        "protocol": st.sampled_from(["HTTP", "HTTPS", "TLS", "TCP", "UDP"]),
        "allowedRoutes": st.sampled_from([{}, {"namespaces": {"from": "All"}}]),
    },
    optional={
        "hostname": st.sampled_from(HOSTS),
        "tls": st.sampled_from([{"mode": "Passthrough"}, {"certificateRefs": [{"name": "cert"}]}]),
    },
)
gateways = st.builds(
    built("Gateway"),
    names,
    namespaces,
    created,
    st.builds(
        lambda found: {"gatewayClassName": "istio", "listeners": found},
        st.lists(listeners, min_size=1, max_size=3, unique_by=lambda each: each["name"]),
    ),
)
parents = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": names, "namespace": namespaces}, optional={"sectionName": st.sampled_from(["l1", "l2"])}
        ),
        st.fixed_dictionaries(
            {
                "name": st.sampled_from("ab"),
                "namespace": namespaces,
                "group": st.just(""),
                "kind": st.just("Service"),
            },
            optional={"port": st.sampled_from([80, 9000])},
        ),
    ),
    max_size=2,
)
backends = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "gone"]), "port": st.just(80)},
        optional={"weight": st.integers(0, 3), "namespace": namespaces},
    ),
    max_size=2,
)
matches = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["Exact", "PathPrefix", "RegularExpression"]),
                    "value": st.sampled_from(["/", "/a", "/a/b"]),
                }
            ),
            "method": st.sampled_from(["GET", "POST"]),
        },
    ),
    max_size=2,
)
http = st.builds(
    built("HTTPRoute"),
    names,
    namespaces,
    created,
    st.fixed_dictionaries(
        {
            "parentRefs": parents,
            "hostnames": hosts,
            "rules": st.lists(
                st.fixed_dictionaries({"matches": matches, "backendRefs": backends}), min_size=1, max_size=2
            ),
        }
    ),
)
bare = {
    "parentRefs": parents,
    "rules": st.lists(st.fixed_dictionaries({"backendRefs": backends}), min_size=1, max_size=1),
}
grpc = st.builds(
    built("GRPCRoute"), names, namespaces, created, st.fixed_dictionaries(bare | {"hostnames": hosts})
)
tls = st.builds(
    built("TLSRoute"), names, namespaces, created, st.fixed_dictionaries(bare | {"hostnames": hosts})
)
tcp = st.builds(built("TCPRoute"), names, namespaces, created, st.fixed_dictionaries(bare))
found = st.lists(
    st.one_of(gateways, http, grpc, tls, tcp),
    max_size=7,
    unique_by=lambda each: (type(each), each.metadata.namespace, each.metadata.name),
)


@settings(max_examples=150, deadline=None)
@given(found, st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(some, random):
    some = [*objects(CLASS), *some]
    other = list(some)
    random.shuffle(other)
    assert result_of(derived(some)) == result_of(derived(other))


@settings(max_examples=150, deadline=None)
@given(found)
def test_what_is_made_is_right_by_the_rules_of_its_own_kind(some):
    result = result_of(derived([*objects(CLASS), *some]))
    made = (*result.gateways, *result.virtual_services, *result.destination_rules)
    wrong = [problem for each in made for problem in istio_problems(each)]
    # A TLSRoute of a Service may be for server names that the Service has not: people cannot write that.
    assert not [(path, message) for path, message in wrong if ".sniHosts" not in path]
    names = [(type(each), each.metadata.namespace, each.metadata.name) for each in made]
    assert len(names) == len(set(names))
