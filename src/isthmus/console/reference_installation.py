"""The page of settings of an installation, made from the types that hold them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.described import Field, Struct, fields, parts
from isthmus.console.install.profiles import about_profile, profile_names
from isthmus.console.install.reading import profile
from isthmus.console.install.settings import API_VERSION, KIND, Installation
from isthmus.console.shown import show_yaml

_HEAD = f"""\
# Installation

What `isthmus install ROLE -f FILE` reads: all values, what they do, and what they are without a word. Made by
`make docs` from the types that hold them; do not edit. How to use them: [Install](../guides/install.md).

```yaml
apiVersion: {API_VERSION}
kind: {KIND}
spec:
  profile: production
  cluster: east
  controlPlane:
    autoscaling: {{enabled: true, minReplicas: 3}}
```

Values alone, without the first three lines, are a settings file too. A profile comes first, then files in the order in
which they are given, then `--set PATH=VALUE` (the value is YAML, a dot within a key has a backslash before it, `null`
takes a value away), then flags. Maps are merged, everything else is replaced.
"""


def page() -> str:
    """The page: values, then profiles."""
    return "\n".join(
        [_HEAD, *(line for part in parts(Installation) for line in _section(part)), *_profiles()]
    )


def _section(part: Struct) -> Iterator[str]:
    title = "`spec`" if part is Installation else part.__name__
    yield f'<a id="{part.__name__}"></a>\n## {title}\n'
    yield f"{' '.join((part.__doc__ or '').split())}\n"
    yield "| value | what it does |\n|---|---|"
    if part is Installation:
        yield "| `profile`<br>text<br>default `default` | Where to begin: a profile below. `--profile` wins. |"
    for each in fields(part):
        yield f"| {_name(each)} | {_words(each)} |"
    yield ""


def _name(each: Field) -> str:
    below = {part.__name__ for part in parts(Installation)}
    said = [
        f"`{each.name}`",
        " ".join(f"[{one}](#{one})" if one in below else one for one in each.type.split()),
    ]
    if each.required:
        said.append("**required**")
    if each.default and each.default not in ("{}", "[]"):
        said.append(f"default `{each.default}`")
    return "<br>".join(said).replace("|", "\\|")


def _words(each: Field) -> str:
    allowed = [f"`{one}`" for one in each.allowed if one]
    return (each.text + (f" One of {', '.join(allowed)}." if allowed else "")).replace("|", "\\|")


def _profiles() -> Iterator[str]:
    yield "## Profiles\n"
    for name in profile_names():
        yield f"### `{name}`\n\n{about_profile(name)}\n"
        if spec := msgspec.to_builtins(profile(name).spec):
            yield f"```yaml\n{show_yaml(spec)}\n```\n"
