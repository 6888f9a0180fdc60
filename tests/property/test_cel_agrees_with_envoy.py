"""What we say of an expression in CEL, Envoy says too, whatever people write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.static_envoy import bootstrap_with_cel
from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.envoy.cel import problem_of

NAMES = ("request", "response", "connection", "x", "as", "package", "null", "true", "has", "size", "in")
FIELDS = ("headers", "code", "mtls", "path", "time", "a", "while")
LITERALS = (
    *(
        "1",
        "-1",
        "0x1F",
        "2u",
        "1.5e3",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616u",
    ),
    *("'a'", '"b"', r"'\n\x41'", r"'\q'", r"r'\q'", "b'c'", "'''d\ne'''", "'é'", "'", "{}", "[]"),
)
FUNCTIONS = (
    *("size", "int", "string", "duration", "timestamp", "matches", "startsWith", "contains", "dyn", "type"),
    *("foo", "has", "optional.of", "getHours", "exists", "all", "map", "cel.bind"),
)
OPERATORS = ("==", "!=", "<", ">=", "&&", "||", "in", "+", "-", "*", "/", "%", "&", "=")


def _larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(part, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(part, st.sampled_from(OPERATORS), part).map(" ".join),
        st.tuples(part, st.sampled_from(FIELDS)).map(".".join),
        st.tuples(part, part).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
        st.tuples(st.sampled_from(("!", "-", "--")), part).map("".join),
        st.tuples(part, part, part).map(lambda three: f"{three[0]} ? {three[1]} : {three[2]}"),
        st.tuples(st.sampled_from(FUNCTIONS), several).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(part, st.sampled_from(FUNCTIONS), several).map(
            lambda call: f"{call[0]}.{call[1]}({call[2]})"
        ),
        several.map(lambda items: f"[{items}]"),
        st.tuples(part, part).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}"),
        st.tuples(st.sampled_from(NAMES), part).map(lambda pair: f"{pair[0]}{{a: {pair[1]}}}"),
        part.map(lambda inner: f"({inner})"),
    )


EXPRESSIONS = st.recursive(st.sampled_from((*NAMES, *LITERALS)), _larger, max_leaves=6)


@settings(max_examples=3, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=60, max_size=80, unique=True))
def test_envoy_takes_all_that_we_take_and_refuses_all_that_we_refuse(expressions):
    taken = [each for each in expressions if not problem_of(each)]
    validate(envoy_executable(), bootstrap_with_cel(*taken))
    for each in [each for each in expressions if problem_of(each)][:8]:
        with pytest.raises(RefusedByEnvoy):
            validate(envoy_executable(), bootstrap_with_cel(each))
