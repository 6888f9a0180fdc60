"""An AuthorizationPolicy that is wrong keeps the last good one, and else lets nobody in by what is wrong."""

from __future__ import annotations

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.resource import Ref
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey, refused
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

HOME = ClusterId("gke")
REF = Ref("AuthorizationPolicy", "default", "a")
NOBODY = [{"from": [{"source": {"ipBlocks": ["nowhere"]}}]}]
SHOP = [{"from": [{"source": {"namespaces": ["shop"]}}]}]


def change(spec, annotations=()):
    kind = kind_of("security.istio.io/v1", "AuthorizationPolicy")
    meta = {"name": "a", "namespace": "default", "annotations": dict(annotations)}
    try:
        value = decode(kind, {"metadata": meta, "spec": spec})
    except InvalidConfig as error:
        found = Finding(ref=REF, path=error.path, message=error.message, code=Code.SCHEMA)
        value = refused(found, error.instead)
    return Change(ChangeKey(HOME, REF), value)


def counting(*changes):
    """The spec that counts in the end, and what is said of it."""
    builder = MeshBuilder(MeshSettings(config_cluster=HOME))
    for each in changes:
        mesh = builder.apply([each]).mesh
    (found,) = mesh.of(AuthorizationPolicy) or (None,)
    return found.spec if found is not None else None, [each.message for each in mesh.findings]


def test_the_last_good_one_stays():
    spec, told = counting(change({"rules": SHOP}), change({"rules": NOBODY}))
    assert spec.rules[0].from_[0].source.namespaces == ("shop",)
    assert "nobody in" not in told[0]


def test_what_was_never_good_lets_nobody_in_by_rules_that_are_wrong():
    spec, told = counting(change({"rules": [*NOBODY, *SHOP]}))
    assert [rule.from_[0].source.principals for rule in spec.rules] == [(), None]
    assert told[0].endswith("until it is mended what is wrong lets nobody in")


def test_a_newer_wrong_one_stands_in_for_an_older_wrong_one():
    spec, _ = counting(change({"rules": NOBODY}), change({"rules": [*NOBODY, *SHOP]}))
    assert len(spec.rules) == 2


def test_what_is_mended_counts_and_what_is_gone_does_not():
    assert counting(change({"rules": NOBODY}), change({"rules": SHOP}))[1] == []
    gone = Change(ChangeKey(HOME, REF), None)
    assert counting(change({"rules": NOBODY}), gone) == (None, [])
    assert counting(change({"rules": SHOP}), gone, change({"rules": NOBODY}))[0].rules[0].from_ is not None


def test_where_nothing_can_be_read_nothing_is_allowed():
    for spec in (7, {"rules": 7}, {"rules": [{"to": 7}]}, {"action": "OPEN", "rules": [{}]}):
        rules = counting(change(spec))[0].rules or ()
        assert [rule for rule in rules if rule.from_[0].source.principals != ()] == []


def test_where_no_rule_can_be_read_every_call_is_denied():
    spec, _ = counting(change({"action": "DENY", "rules": [{"to": 7}]}))
    assert [(rule.from_, rule.to, rule.when) for rule in spec.rules] == [(None, None, None)]


def test_the_workloads_stay_those_that_were_meant():
    spec, _ = counting(change({"selector": {"matchLabels": {"app": "a"}}, "rules": NOBODY}))
    assert spec.selector.match_labels == {"app": "a"}


def test_nothing_stands_in_for_what_would_only_be_reported_on():
    assert counting(change({"rules": NOBODY}, [("istio.io/dry-run", "true")]))[0] is None
