"""Virtual hosts, conditions of routes, and what becomes of a request."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import HttpConnectionManager, Route, RouteConfiguration, RouteMatch
from isthmus.translate.trace.call import Call, Request, Untraceable
from isthmus.translate.trace.conditions import conditions
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.outcome import Asked, outcomes
from isthmus.translate.trace.path import arriving
from isthmus.translate.trace.routing import route, virtual_host
from isthmus.translate.trace.steps import Answer, Forward, Redirect

NOTHING = Held(listeners={}, routes={}, upstreams={}, assignments={})


def read(type_, **tree):
    return json_format.ParseDict(tree, type_(), descriptor_pool=pool())


def hosts(**domains):
    several = [{"name": name, "domains": list(found)} for name, found in domains.items()]
    return read(RouteConfiguration, name="r", virtual_hosts=several, ignore_port_in_host_matching=True)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("reviews", "short"),
        ("Reviews:9080", "short"),
        ("a.example.com", "exact"),
        ("b.example.com", "suffix"),
        ("b.shop.example.com", "longer_suffix"),
        ("example.com", "all"),
        (".example.com", "all"),
        ("prefix.org", "prefix"),
        ("prefix.", "all"),
        ("[::1]:80", "six"),
        ("10.1.0.1:80", "address"),
        ("reviews.", "all"),
        ("", "all"),
    ],
)
def test_the_most_specific_domain_decides(host, name):
    config = hosts(
        all="*",
        suffix=["*.example.com"],
        exact=["a.example.com"],
        longer_suffix=["*.shop.example.com"],
        prefix=["prefix.*"],
        short=["reviews"],
        six=["[::1]"],
        address=["10.1.0.1"],
    )
    assert virtual_host(config, host)[0].name == name


def test_a_port_counts_where_it_is_not_ignored():
    config = hosts(short=["reviews"], all="*")
    config.ignore_port_in_host_matching = False
    assert virtual_host(config, "reviews:9080")[0].name == "all"


def test_no_virtual_host_is_none():
    assert virtual_host(hosts(short=["reviews"]), "ratings") is None
    assert route(hosts(short=["reviews"]), Request(host="ratings")).host is None


EXACT = {"exact": "one"}
REQUEST = Request(
    method="POST",
    host="shop.example.com",
    path="/a/b?q=1&q=2&flag&enc=%31",
    headers=(("x-a", "one"), ("x-b", "1"), ("x-b", "2"), ("x-n", "7"), ("x-e", "")),
)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({"prefix": "/a"}, True),
        ({"prefix": "/A"}, False),
        ({"prefix": "/A", "case_sensitive": False}, True),
        ({"path": "/a/b"}, True),
        ({"path": "/a"}, False),
        ({"path_separated_prefix": "/a"}, True),
        ({"path_separated_prefix": "/a/b"}, True),
        ({"path_separated_prefix": "/a/"}, False),
        ({"safe_regex": {"regex": "/a/.*"}}, True),
        ({"safe_regex": {"regex": "/a"}}, False),
        ({"prefix": "/", "headers": [{"name": "x-a", "string_match": EXACT}]}, True),
        ({"prefix": "/", "headers": [{"name": "X-A", "string_match": EXACT}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-a", "string_match": {"prefix": "ON", "ignore_case": True}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-a", "string_match": {"suffix": "ne"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-a", "string_match": {"contains": "n"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-a", "exact_match": "one"}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-a", "safe_regex_match": {"regex": "on"}}]}, False),
        ({"prefix": "/", "headers": [{"name": "x-b", "string_match": {"exact": "1,2"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-n", "range_match": {"start": "7", "end": "8"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-n", "range_match": {"start": "6", "end": "7"}}]}, False),
        ({"prefix": "/", "headers": [{"name": "x-a", "range_match": {"start": "6", "end": "7"}}]}, False),
        ({"prefix": "/", "headers": [{"name": "x-z"}]}, False),
        ({"prefix": "/", "headers": [{"name": "x-e", "present_match": True}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-z", "present_match": False}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-z", "present_match": True, "invert_match": True}]}, True),
        ({"prefix": "/", "headers": [{"name": "x-z", "string_match": EXACT, "invert_match": True}]}, False),
        ({"prefix": "/", "headers": [{"name": "x-z", "string_match": EXACT, "invert_match": True,
                                      "treat_missing_header_as_empty": True}]}, True),
        ({"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]}, True),
        ({"prefix": "/", "headers": [{"name": "host", "string_match": {"prefix": "shop"}}]}, True),
        ({"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"exact": "1"}}]}, True),
        ({"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"exact": "2"}}]}, False),
        ({"prefix": "/", "query_parameters": [{"name": "enc", "string_match": {"exact": "1"}}]}, False),
        ({"prefix": "/", "query_parameters": [{"name": "flag", "present_match": True}]}, True),
        ({"prefix": "/", "query_parameters": [{"name": "none"}]}, False),
        ({"prefix": "/", "grpc": {}}, False),
    ],
)  # fmt: skip
def test_a_condition_holds_as_in_envoy(match, holds):
    asked = list(conditions(read(RouteMatch, **match), REQUEST))
    assert all(each.holds for each in asked) is holds, asked


def test_a_condition_that_is_not_known_is_not_passed_over():
    with pytest.raises(Untraceable, match="tls_context"):
        list(conditions(read(RouteMatch, prefix="/", tls_context={"presented": True}), REQUEST))
    with pytest.raises(Untraceable, match="path_match_policy"):
        list(conditions(read(RouteMatch, path_match_policy={"name": "uri-template"}), REQUEST))


@pytest.mark.parametrize(
    ("method", "match", "holds"),
    [
        ("CONNECT", {"connect_matcher": {}}, True),
        ("GET", {"connect_matcher": {}}, False),
        ("CONNECT", {"prefix": "/"}, False),
        ("CONNECT", {"safe_regex": {"regex": ".*"}}, False),
    ],
)
def test_a_connect_has_no_path_and_meets_its_own_matcher_alone(method, match, holds):
    request = Request(method=method, host="shop.example.com:443", path="/")
    assert [each.holds for each in conditions(read(RouteMatch, **match), request)] == [holds]


def of_routes(*several):
    host = {"name": "h", "domains": ["*"], "routes": several}
    return read(RouteConfiguration, name="r", virtual_hosts=[host])


def to(upstream, **match):
    return {"match": {"prefix": "/", **match}, "route": {"cluster": upstream}}


def test_the_first_route_that_matches_is_taken_and_those_before_it_nearly():
    jason = {"headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]}
    found = route(of_routes(to("a", **jason), to("b", prefix="/a"), to("c")), Request(host="x", path="/a"))
    assert [each.step.index for each in found.taken] == [1]
    assert [(each.index, each.condition, each.found) for each in found.missed] == [
        (0, "header end-user = jason", "end-user is absent")
    ]


def test_a_route_by_chance_leaves_the_rest_to_those_after_it():
    third = {"runtime_fraction": {"default_value": {"numerator": 30}}}
    found = route(of_routes(to("a", **third), to("b", **third), to("c")), Request(host="x"))
    assert [(each.step.index, round(each.share, 3)) for each in found.taken] == [
        (0, 0.3),
        (1, 0.21),
        (2, 0.49),
    ]


def results(action, request=REQUEST, **match):
    own = read(Route, match=match or {"prefix": "/a"}, **action)
    return list(outcomes(NOTHING, Asked(own), Call(address="", port=80, request=request)))


def answer(action, request=REQUEST, **match):
    (only,) = results(action, request, **match)
    return only.action


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        ({"path_redirect": "/new"}, "http://shop.example.com/new?q=1"),
        ({"path_redirect": "/new?x=y"}, "http://shop.example.com/new?x=y"),
        ({"path_redirect": "/new", "strip_query": True}, "http://shop.example.com/new"),
        ({"prefix_rewrite": "/new"}, "http://shop.example.com/new/b?q=1"),
        ({"host_redirect": "other"}, "http://other/a/b?q=1"),
        ({"https_redirect": True}, "https://shop.example.com/a/b?q=1"),
        ({"scheme_redirect": "https", "port_redirect": 8443}, "https://shop.example.com:8443/a/b?q=1"),
    ],
)
def test_a_redirect_leads_where_envoy_would(redirect, location):
    request = Request(host="shop.example.com", path="/a/b?q=1")
    assert answer({"redirect": redirect}, request) == Redirect(status=301, location=location)


@pytest.mark.parametrize(
    ("host", "redirect", "location"),
    [
        ("a:80", {"https_redirect": True}, "https://a/"),
        ("a:8080", {"https_redirect": True}, "https://a:8080/"),
        ("a:8080", {"port_redirect": 81}, "http://a:81/"),
        ("[::1]:80", {"port_redirect": 81}, "http://[::1]:81/"),
        ("[::1]", {"port_redirect": 81}, "http://[::1]:81/"),
        ("a:80", {"path_redirect": "/x"}, "http://a:80/x"),
    ],
)
def test_a_redirect_keeps_the_port_only_where_it_still_holds(host, redirect, location):
    found = answer({"redirect": redirect}, Request(host=host), prefix="/")
    assert found == Redirect(status=301, location=location)


@pytest.mark.parametrize(
    ("action", "match", "path"),
    [
        ({"prefix_rewrite": "/new"}, {"prefix": "/a"}, "/new/b?q=1"),
        ({"prefix_rewrite": "/"}, {"prefix": "/a"}, "//b?q=1"),
        ({"prefix_rewrite": "/new"}, {"path": "/a/b"}, "/new?q=1"),
        ({"prefix_rewrite": "/new"}, {"path_separated_prefix": "/a"}, "/new/b?q=1"),
        ({"prefix_rewrite": "/new"}, {"safe_regex": {"regex": ".*"}}, "/new?q=1"),
        ({"regex_rewrite": {"pattern": {"regex": "/([a-z])"}, "substitution": "/<\\1>"}}, {"prefix": "/"},
         "/<a>/<b>?q=1"),
        ({"regex_rewrite": {"pattern": {"regex": "b*"}, "substitution": "-"}}, {"prefix": "/"}, "-/-a-/-?q=1"),
        ({"regex_rewrite": {"pattern": {"regex": "^/a"}, "substitution": "\\\\\\0"}}, {"prefix": "/"},
         "\\/a/b?q=1"),
    ],
)  # fmt: skip
def test_paths_are_rewritten_as_by_envoy(action, match, path):
    request = Request(host="a", path="/a/b?q=1")
    found = answer({"route": {"cluster": "c", **action}}, request, **match)
    assert isinstance(found, Forward)
    assert found.upstreams[0].path == path


def test_shares_follow_weights_and_each_may_have_a_host_of_its_own():
    weighted = {
        "clusters": [
            {"name": "a", "weight": 1, "host_rewrite_literal": "own"},
            {"name": "b", "weight": 3},
            {"name": "c", "weight": 0},
        ]
    }
    found = answer({"route": {"weighted_clusters": weighted}})
    own = [(one.name, one.share, one.host) for one in found.upstreams]
    assert own == [("a", 25, "own"), ("b", 75, "shop.example.com")]


def test_the_host_that_a_rule_gives_all_its_shares_is_written_last():
    weighted = {"clusters": [{"name": "a", "weight": 1, "host_rewrite_literal": "own"}]}
    found = answer({"route": {"weighted_clusters": weighted, "host_rewrite_literal": "all"}})
    assert [one.host for one in found.upstreams] == ["all"]


def test_an_upstream_that_is_not_held_does_not_exist():
    (one,) = answer({"route": {"cluster": "c"}}).upstreams
    assert not one.exists


def test_a_route_may_answer_by_itself():
    assert answer({"direct_response": {"status": 418}}) == Answer(status=418, why="the rule says so")


@pytest.mark.parametrize(
    ("origin", "method", "more", "answered"),
    [
        ("https://a.com", "OPTIONS", {}, True),
        ("https://b.com", "OPTIONS", {}, False),
        ("https://b.com", "OPTIONS", {"forward_not_matching_preflights": True}, False),
        ("https://b.com", "OPTIONS", {"forward_not_matching_preflights": False}, True),
        ("https://a.com", "GET", {}, False),
    ],
)
def test_preflights_are_answered_by_the_cors_filter(origin, method, more, answered):
    asked = (("origin", origin), ("access-control-request-method", "PUT"))
    policy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": "https://a.com"}],
        **more,
    }
    own = {"route": {"cluster": "c"}, "typed_per_filter_config": {"envoy.filters.http.cors": policy}}
    found = answer(own, Request(method=method, host="x", headers=asked), prefix="/")
    assert isinstance(found, Answer) is answered


def faulty(**faults):
    fault = {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault", **faults}
    return {"route": {"cluster": "c"}, "typed_per_filter_config": {"envoy.filters.http.fault": fault}}


def test_faults_on_purpose_take_their_share():
    abort = {"http_status": 503, "percentage": {"numerator": 5, "denominator": "TEN_THOUSAND"}}
    refused, rest = results(faulty(abort=abort, delay={"fixed_delay": "2s", "percentage": {"numerator": 10}}))
    assert (refused.share, refused.action.status) == (0.0005, 503)
    assert (rest.share, rest.action.faults) == (0.9995, ("delay of 2 s for 10 %",))


def test_a_fault_of_grpc_is_no_error_of_http():
    assert answer(faulty(abort={"grpc_status": 14, "percentage": {"numerator": 100}})).status == 200


def test_what_a_share_does_to_answers_is_done_to_refusals_too():
    option = {"header": {"key": "x-a", "value": "b"}}
    shares = [{"name": "a", "weight": 1, "response_headers_to_add": [option]}, {"name": "b", "weight": 3}]
    faults = faulty(abort={"http_status": 503, "percentage": {"numerator": 40}})
    found = results({**faults, "route": {"weighted_clusters": {"clusters": shares}}})
    assert [(each.share, [str(one) for one in each.answers]) for each in found] == [
        (0.1, ["add x-a: b"]),
        (pytest.approx(0.3), []),
        (0.6, []),
    ]


def test_headers_are_changed_level_by_level():
    def option(name, value, action="OVERWRITE_IF_EXISTS_OR_ADD"):
        return {"header": {"key": name, "value": value}, "append_action": action}

    share = {
        "name": "a",
        "weight": 1,
        "request_headers_to_add": [option("X-A", "share"), option("x-n", "%REQ(x-a)%, 100%%")],
        "response_headers_to_add": [option("x-r", "share")],
    }
    (only,) = results(
        {
            "route": {"weighted_clusters": {"clusters": [share]}},
            "request_headers_to_remove": ["X-B", "x-e"],
            "request_headers_to_add": [
                option("x-a", "route", "APPEND_IF_EXISTS_OR_ADD"),
                option("x-b", "again", "ADD_IF_ABSENT"),
                option("x-c", "never", "OVERWRITE_IF_EXISTS"),
                option("x-d", "%REQ(x-none)%"),
            ],
            "response_headers_to_remove": ["X-Gone"],
        }
    )
    (one,) = only.action.upstreams
    assert one.headers == (("x-a", "share"), ("x-n", "one, 100%"), ("x-a", "route"), ("x-b", "again"))
    assert [str(each) for each in (*one.answers, *only.answers)] == ["set x-r: share", "remove x-gone"]


def test_timeouts_retries_and_mirrors_are_told():
    action = {
        "cluster": "c",
        "timeout": "3s",
        "retry_policy": {"retry_on": "5xx", "num_retries": 4},
        "request_mirror_policies": [
            {
                "cluster": "m",
                "runtime_fraction": {"default_value": {"numerator": 20, "denominator": "HUNDRED"}},
            }
        ],
    }
    found = answer({"route": action})
    assert (found.timeout_s, found.retries, found.retry_on, found.mirrors) == (
        *(3, 4, "5xx"),
        ("m 20 %, which nobody serves",),
    )
    assert answer({"route": {"cluster": "c"}}).timeout_s == 15  # Envoy's default


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a/./b/../c?x=/../y", "/a/c?x=/../y"),
        ("/%2e%2e/a", "/a"),
        ("/%41%2f%7e", "/A%2f~"),
        ("/a\\..\\b", "/b"),
        ("/a/..;x/b", "/b"),
        ("/a/%2e%2e;x/b", "/a/..;x/b"),
        ("/<a>", "/%3Ca%3E"),
        ("//a//b", "//a//b"),
        ("/a#b", None),
        ("a", None),
        ("/%00", None),
        ("/é", None),
    ],
)
def test_paths_arrive_normalized(path, seen):
    manager = HttpConnectionManager()
    manager.normalize_path.value = True
    assert arriving(manager, Request(path=path)) == seen


def test_slashes_are_merged_where_that_is_asked():
    assert arriving(HttpConnectionManager(merge_slashes=True), Request(path="//a///b?//")) == "/a/b?//"
