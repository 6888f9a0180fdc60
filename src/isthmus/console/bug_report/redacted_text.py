"""Text without what looks like a secret: by its form, by the name before it, by the lines below a name.

No form looks back over what it has seen, or further than it is told: logs are of strangers, and of any length.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import NamedTuple

from isthmus.console.bug_report.sensitive import GONE, is_public, is_sensitive

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
        GONE,
    ),
    (re.compile(r"\beyJ[\w-]{4,4096}\.[\w-]{4,}(?:\.[\w-]*)?", re.ASCII), GONE),
    (re.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s+)[\w.~+/=:-]{4,}", re.ASCII), rf"\1\2{GONE}"),
    (re.compile(r"(?i)(authorization[ \t]*[:=][ \t]*)\w+[ \t]+[^\s,;\"']+", re.ASCII), rf"\1{GONE}"),
    (re.compile(r"(://)[^/\s\"'@:]{0,256}:[^\s\"'@]{0,512}@"), rf"\1{GONE}@"),
    (re.compile(r"(://)[^/\s\"'@:]{16,512}@"), rf"\1{GONE}@"),
    (
        re.compile(
            r"(?<![\w-])(--?(?=[\w-]*?(?i:password|passwd|token|secret|api-?key|private-key))[\w-]++)(\s+)[^\s-]\S*"
        ),
        rf"\1\2{GONE}",
    ),
    (
        re.compile(
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{20,}"
            r"|\bxox[abprs]-[\w-]{10,}|\b[sr]k_live_\w{10,}"
        ),
        GONE,
    ),
)
_TIME = r"(?:\d{4}-\S+Z )?"
"""What stands before each line of a log that was asked for with times."""
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_OF_KEY = re.compile(rf"{_TIME}[ \t]*[A-Za-z0-9+/=]{{1,80}}\r?")
_BASE64 = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_\-\\n]*")
_A_SECRET = re.compile(r"\bkind\\{0,8}[\"']?\s*:\s*\\{0,8}[\"']?Secret\b")
_ITS_DATA = re.compile(r"(\\{0,8}\"(?:data|stringData)\\{0,8}\"\s*:\s*)\{[^{}]{0,65536}\}")
_DATA = frozenset({"data", "stringData"})
_LINE = re.compile(
    rf"(?P<head>{_TIME}(?P<indent>[ \t]*(?:-[ ]+)*)(?:export[ ])?(?P<name>[\w.\-\"'\\]+)[ \t]*(?P<sign>[:=]))"
    r"(?P<value>[^\n]*)",
    re.ASCII,
)
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTED = re.compile(r"\s*(?P<quote>\\{0,8}[\"']).*(?<!\\)(?P=quote)[,;]?\s*")
_BELOW = re.compile(rf"{_TIME}(?P<margin>[ \t]*)(?P<dash>-(?=[ ]))?(?P<said>\S?)")
_QUOTE = r"\\{0,8}[\"']"
"""Also one that is within other quotes."""
_NAME = re.compile(
    rf"(?<![\w.\-])(?:{_QUOTE})?(?P<name>[\w.\-]++)(?:{_QUOTE})?[ \t]*(?:=>|[:=])[ \t]*", re.ASCII
)
_VALUE = re.compile(
    rf"(?P<quote>{_QUOTE})(?:(?!(?<!\\)(?P=quote))[\s\S]){{0,65536}}(?P=quote)"
    r"|\{[^{}]{0,65536}\}|\[[^\[\]]{0,65536}\]|[^\s,;&}\])]+",
    re.ASCII,
)
_OTHER_PAIRS = (
    re.compile(r"(?P<head>(?<![\w.\-])(?P<name>[\w.\-]++)%3[aAdD])(?P<value>[^\s&]*)(?P<tail>)", re.ASCII),
    re.compile(r"(?P<head>'(?P<name>[\w.\-]{1,128})',[ ]*')(?P<value>[^'\n]*)(?P<tail>')", re.ASCII),
    re.compile(
        r"(?P<head><(?P<name>[\w.:\-]{1,128})(?:\s[^<>]{0,256})?>)(?P<value>[^<]{1,8192})(?P<tail></)",
        re.ASCII,
    ),
)
"""Questions within URLs, headers as Envoy logs them, and XML."""


def redact_text(text: str) -> str:
    """The text of a log, a page, a message, without what looks like a secret."""
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    text = "".join(_without_ends(text))
    is_secret = _A_SECRET.search(text) is not None
    if is_secret:
        text = _ITS_DATA.sub(rf'\1"{GONE}"', text)
    text = "".join(_without_lines(text, _DATA if is_secret else frozenset()))
    text = _BASE64.sub(_without_keys, text)
    for form in _OTHER_PAIRS:
        text = form.sub(_other_pair, text)
    return "".join(_without_pairs(text))


def _without_ends(text: str) -> Iterator[str]:
    """Keys whose beginning is not in the text, as where the end of a log begins within one."""
    at = 0
    for found in _END.finditer(text):
        lines = text[at : found.start()].split("\n")
        while len(lines) > 1 and _OF_KEY.fullmatch(lines[-2]):
            del lines[-2]
        yield "\n".join(lines) + GONE
        at = found.end()
    yield text[at:]


class _Key(NamedTuple):
    """The name of a secret at the beginning of a line, and what may stand below it."""

    column: int
    has_list: bool

    def covers(self, line: str) -> bool:
        """Whether the line is of what the name stands for, as in YAML."""
        below = _BELOW.match(line)
        if below is None or not (below["said"] or below["dash"]):
            return True
        is_item = self.has_list and bool(below["dash"])
        return len(below["margin"]) >= self.column + (0 if is_item else 1)


def _without_lines(text: str, also: frozenset[str]) -> Iterator[str]:
    """Lines that begin with the name of a secret, or one of `also`: all that stands there, and below it."""
    key: _Key | None = None
    for line in _LINES.findall(text):
        if key is not None and key.covers(line):
            yield line if line.isspace() else ""
            continue
        key, kept = _key_of(line, also)
        yield kept


def _key_of(line: str, also: frozenset[str]) -> tuple[_Key | None, str]:
    """The name of a secret that the line begins with, and the line without its value, unless that is in quotes."""
    found = _LINE.match(line)
    name = found["name"].strip("\"'\\") if found is not None else ""
    if found is None or not (is_sensitive(name) or name in also):
        return None, line
    value = found["value"]
    if _QUOTED.fullmatch(value) or (value.strip() and is_public(value)):
        return None, line
    space = " " if found["sign"] == ":" else ""
    end = line[len(line.rstrip("\r\n")) :]
    return _Key(len(found["indent"]), not value.strip()), f"{found['head']}{space}{GONE}{end}"


def _without_keys(found: re.Match[str]) -> str:
    text = re.sub(r"\\n|[^A-Za-z0-9+/_-]", "", found.group())
    try:
        said = base64.b64decode(text[: len(text) // 4 * 4].replace("-", "+").replace("_", "/"))
    except ValueError:
        return GONE
    return GONE if b"PRIVATE KEY" in said or b"CERTIFICATE" not in said else found.group()


def _without_pairs(text: str) -> Iterator[str]:
    """Names with their values behind them, wherever they stand."""
    told = at = 0
    while (found := _NAME.search(text, at)) is not None:
        at = found.end()
        if not is_sensitive(found["name"]):
            continue
        value = _VALUE.match(text, at)
        if value is not None and not is_public(value.group()):
            quote = value["quote"] or ""
            yield f"{text[told:at]}{quote}{GONE}{quote}"
            told = at = value.end()
    yield text[told:]


def _other_pair(found: re.Match[str]) -> str:
    return f"{found['head']}{GONE}{found['tail']}" if is_sensitive(found["name"]) else found.group()
