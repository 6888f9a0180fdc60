"""Path templates: `{*}` stands for one part of a path, `{**}` for any number of them.

Source: Istio's AuthorizationPolicy reference, and Envoy's UriTemplateMatchConfig.
"""

from __future__ import annotations

import re

_ONE, _REST = "{*}", "{**}"
_LITERAL = re.compile(r"[A-Za-z0-9\-._~%!$&'()+,;:@=]*")
_MOST = 5  # of operators. Source: Envoy's limit of variables


def is_template(path: str) -> bool:
    """Whether it has parts that stand for others."""
    return _ONE in path or _REST in path


def template_fault(path: str) -> str:
    """What is wrong with a path that is a template; empty: nothing."""
    if not path.startswith("/"):
        return f"{path!r} does not begin with / (hint: as /users/{_ONE}/orders)"
    segments = path[1:].split("/")
    wild = [index for index, each in enumerate(segments) if each in {_ONE, _REST}]
    for index, each in enumerate(segments):
        if index not in wild and not _LITERAL.fullmatch(each):
            hint = f"{_ONE} and {_REST} are whole parts between slashes, and stars stand nowhere else"
            return f"{path!r} has {each!r} in it (hint: {hint})"
        if not each and index != len(segments) - 1:
            return f"{path!r} has two slashes together"
    if any(segments[index] == _REST for index in wild[:-1]):
        return f"{path!r} has more behind {_REST} (hint: {_REST} is the last that stands for others)"
    return f"{path!r} has more than {_MOST} that stand for others" if len(wild) > _MOST else ""


def as_envoy_has_it(path: str) -> str:
    """The template in Envoy's words."""
    return path.replace(_REST, "**").replace(_ONE, "*")
