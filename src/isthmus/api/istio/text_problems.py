"""What can be wrong with texts wherever they stand in configuration: words, hosts, expressions, names of headers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping

from isthmus.api.core import label_problems
from isthmus.api.errors import Problem
from isthmus.kit.ip import is_address
from isthmus.kit.regex import fault, short

_LABEL = r"[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?"
_HOST = re.compile(rf"(\*|(\*\.)?{_LABEL}(\.{_LABEL})*\.?|\*-?{_LABEL}(\.{_LABEL})*)")
_HEADER = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_LONGEST_HOST = 255


def word(at: str, text: str, words: Collection[str]) -> Iterator[Problem]:
    """Nothing where `text` is empty or one of `words`."""
    if text and text not in words:
        alike = {each.lower(): each for each in words}
        near = difflib.get_close_matches(text.lower(), alike, 1, 0.6)
        hint = f"did you mean {alike[near[0]]}?" if near else f"one of {', '.join(words)}"
        yield at, f"is {text!r} (hint: {hint})"


def host(at: str, text: str) -> Iterator[Problem]:
    """Nothing where `text` is a host, a wildcard or an address."""
    if not text:
        yield at, "is empty (hint: the name of a service, or a host)"
    elif len(text) > _LONGEST_HOST or not (_HOST.fullmatch(text) or is_address(text)):
        yield at, f"{text!r} is no host (hint: a name such as reviews, example.com or *.example.com)"


def export_to(at: str, names: Collection[str], *, nowhere: bool = False) -> Iterator[Problem]:
    """Nothing where `names` are namespaces, or stars for all and for the own one, each once."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        here = f"{at}[{index}]"
        if name in seen:
            yield here, f"{name!r} stands twice"
        seen.add(name)
        allowed = {".", "*", "~"} if nowhere else {".", "*"}
        if name not in allowed and not label_problems.is_domain_label(name):
            yield here, f'{name!r} is no namespace (hint: "." for this one, "*" for all)'
    if len(seen) > 1 and seen & {"*", "~"}:
        yield at, f"has {' and '.join(sorted(seen & {'*', '~'}))} beside others (hint: leave the others out)"


def regex(at: str, text: str) -> Iterator[Problem]:
    """Nothing where Envoy takes `text` as a regular expression."""
    if wrong := fault(text):
        yield at, f"{short(text)} {wrong}"


def header(at: str, name: str) -> Iterator[Problem]:
    """Nothing where `name` is the name of a header, with or without the colon of those that are none."""
    if not _HEADER.fullmatch(name.removeprefix(":")):
        yield at, f"{name!r} is no name of a header (hint: letters, digits and -)"


def workloads(at: str, labels: Mapping[str, str]) -> Iterator[Problem]:
    """Nothing where a selector of workloads has labels by which some could be found."""
    if not labels:
        yield at, "is empty (hint: leave the selector out for the whole namespace)"
    yield from label_problems.labels(at, labels)
