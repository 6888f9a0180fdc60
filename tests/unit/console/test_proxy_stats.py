"""What an Envoy counts, as `isthmus proxy stats` asks for it and shows it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from isthmus.console.cli import main
from isthmus.console.proxy_stats import WrongStats, question, rows, upstreams


@pytest.mark.parametrize(
    ("asked", "port", "path"),
    [
        (("server", "table", ""), 15000, "/stats?usedonly"),
        (("server", "wide", "a.b|c"), 15000, "/stats?filter=a.b%7Cc"),
        (("server", "table", "x"), 15000, "/stats?usedonly&filter=x"),
        (("server", "yaml", "x"), 15000, "/stats?format=json&filter=x"),
        (("server", "prometheus", ""), 15000, "/stats/prometheus"),
        (("server", "merged", ""), 15020, "/stats/prometheus"),
        (("clusters", "table", "x"), 15000, "/clusters?format=json"),
    ],
)
def test_each_form_stands_at_a_page_of_its_own(asked, port, path):
    found = question(*asked)
    assert (found.port, found.path) == (port, path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("clusters", "prometheus", ""), "-o prometheus has no --type clusters"),
        (("server", "merged", "x"), "-o merged has no --filter"),
    ],
)
def test_what_does_not_go_together_is_told(asked, words):
    with pytest.raises(WrongStats, match=words):
        question(*asked)


def test_a_value_may_have_colons_and_a_line_without_any_is_none():
    assert rows("a.b: 1\nc: P0(nan,1) P25(nan,1.02)\n\nno line\n") == [
        ("a.b", "1"),
        ("c", "P0(nan,1) P25(nan,1.02)"),
    ]


def host(address, port, **counted):
    stats = [{"name": name, "value": str(value)} for name, value in counted.items()] + [{"name": "cx_active"}]
    return {"address": {"socket_address": {"address": address, "port_value": port}}, "stats": stats}


def test_what_is_counted_of_upstreams_is_told_by_endpoint():
    said = {
        "cluster_statuses": [
            {
                "name": "outbound|80||a.shop",
                "host_statuses": [host("10.0.0.1", 80, rq_total=7, rq_timeout=2)],
            },
            {"name": "inbound|80||", "host_statuses": [host("10.0.0.2", 80)]},
            {"name": "outbound|90||b.shop"},
        ]
    }
    (found,) = upstreams(said, r"^outbound.*80")
    assert (found.endpoint, found.requests, found.timeouts, found.connections) == ("10.0.0.1:80", 7, 2, 0)
    assert len(list(upstreams(said))) == 2


def test_an_expression_that_is_none_is_refused_before_anybody_is_asked():
    ran = CliRunner().invoke(main, ["proxy", "stats", "web", "--filter", "("])
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: --filter: '(' is no regular expression of RE2: missing ): (")
