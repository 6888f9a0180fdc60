"""What can be wrong with labels and with what selects by them. Source: Kubernetes, "Labels and Selectors"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from isthmus.api.core.label_selector import OPERATORS, LabelSelector
from isthmus.api.errors import Problem

_LONGEST = 63
_LONGEST_PREFIX = 253
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_HINT = f"(hint: up to {_LONGEST} letters, digits, dots, - and _, a letter or a digit first and last)"


def labels(at: str, given: Mapping[str, str]) -> Iterator[Problem]:
    """Nothing where objects may have these labels, so that it makes sense to look for them."""
    for name, value in given.items():
        yield from label_name(at, name)
        if "*" in value:
            yield (
                f"{at}[{name}]",
                f"{value!r} has a star, which labels are not matched by (hint: the whole value)",
            )
        else:
            yield from label_value(f"{at}[{name}]", value)


def label_name(at: str, name: str) -> Iterator[Problem]:
    """Nothing where `name` is one by which a label or an annotation may be called: `word`, or `domain/word`."""
    domain, slash, rest = name.rpartition("/")
    if not name:
        yield at, "has a label without a name"
    elif slash and (len(domain) > _LONGEST_PREFIX or not _SUBDOMAIN.fullmatch(domain)):
        yield (
            f"{at}[{name}]",
            f"{domain!r} is no domain (hint: lower case, as example.com in example.com/{rest})",
        )
    elif not _is_word(rest):
        yield f"{at}[{name}]", f"{rest!r} is no name of a label {_HINT}"


def label_value(at: str, value: str) -> Iterator[Problem]:
    """Nothing where a label may have this value; it may be empty."""
    if value and not _is_word(value):
        yield at, f"{value!r} is no value of a label {_HINT}"


def label_selector(at: str, found: LabelSelector) -> Iterator[Problem]:
    """Nothing where each condition can be met."""
    yield from labels(f"{at}.matchLabels", found.match_labels)
    for index, each in enumerate(found.match_expressions):
        here = f"{at}.matchExpressions[{index}]"
        yield from label_name(f"{here}.key", each.key)
        if each.operator not in OPERATORS:
            yield f"{here}.operator", f"is {each.operator!r} (hint: one of {', '.join(OPERATORS)})"
        elif bool(each.values) != (each.operator in {"In", "NotIn"}):
            what = "stand beside" if each.values else "are missing for"
            yield f"{here}.values", f"{what} {each.operator}"
        for number, value in enumerate(each.values):
            yield from label_value(f"{here}.values[{number}]", value)


def is_subdomain(text: str) -> bool:
    """Whether `text` is a name as most objects have it: lower case words with dots between them."""
    return len(text) <= _LONGEST_PREFIX and bool(_SUBDOMAIN.fullmatch(text))


def is_domain_label(text: str) -> bool:
    """Whether `text` is one such word, as namespaces, Services and their ports are called."""
    return len(text) <= _LONGEST and "." not in text and bool(_SUBDOMAIN.fullmatch(text))


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST and bool(_WORD.fullmatch(text))
