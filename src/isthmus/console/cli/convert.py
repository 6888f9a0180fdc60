"""`isthmus convert`: the kinds of 2018 in, today's out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
import msgspec

from isthmus.api.errors import InvalidConfig, Problem
from isthmus.api.istio_2018.kinds import KINDS
from isthmus.api.resource import Kind, Object
from isthmus.console.render import fail

if TYPE_CHECKING:
    from isthmus.console.drawn_pods import Tree
    from isthmus.console.yaml_places import Place

_BY_NAME = {kind.name: kind for kind in KINDS}
_DEFAULTS = (
    "note: in 2018 a request ended after 15s and was not tried again, unless a rule said otherwise; today it has no "
    "limit and is tried again where it was not begun (hint: set timeout and retries where that matters)"
)


@click.command("convert")
@click.option(
    "-f",
    "--filename",
    "names",
    required=True,
    multiple=True,
    help="a file, a folder, or - for stdin; several",
)
@click.option(
    "-n", "--namespace", default="", help="of objects that do not say theirs; empty: it is left open"
)
def command(names: tuple[str, ...], namespace: str) -> None:
    """Turn RouteRules, DestinationPolicies and EgressRules (config.istio.io/v1alpha2) into today's kinds, as YAML.

    What means something else today is told on standard error, as is what has no equivalent; exit 1 if there is any.
    """
    import yaml

    from isthmus.console.written import given_manifests
    from isthmus.model.convert_2018.convert import convert
    from isthmus.model.findings import Severity

    found: list[Object] = []
    failed = False
    try:
        manifests = given_manifests(names)
    except InvalidConfig as error:
        fail(str(error))
    for manifest in manifests:
        for unread in manifest.wrong:
            click.echo(f"error: {manifest.name}:{unread.line}: {unread.message}", err=True)
            failed = True
        for place, value in manifest.objects:
            read = _read(place, value, namespace)
            failed |= read is None
            found += [read] if isinstance(read, Object) else []
    made = convert(found)
    for finding in made.findings:
        click.echo(str(finding), err=True)
        failed |= finding.severity is Severity.ERROR
    if any(each["kind"] == "VirtualService" for each in made.objects):
        click.echo(_DEFAULTS, err=True)
    text = yaml.safe_dump_all(made.objects, sort_keys=False, width=120, allow_unicode=True)
    click.echo(text if made.objects else "", nl=False)
    if failed:
        sys.exit(1)


def _read(place: Place, value: Tree, namespace: str) -> Object | bool | None:
    """The object; False where it is of another kind, which is told; None where it is wrong, which is told."""
    from isthmus.api.decode import decode
    from isthmus.api.istio_2018.validate import problems

    kind = _kind(value)
    if kind is None:
        named = f"{value.get('apiVersion')} {value.get('kind')}"
        click.echo(f"warning: {place}: {named} is no kind of 2018, and is left out", err=True)
        return False
    try:
        found = decode(kind, value)
        meta = msgspec.structs.replace(found.metadata, namespace=found.metadata.namespace or namespace)
        found = msgspec.structs.replace(found, metadata=meta)
    except InvalidConfig as error:
        _tell(place, kind.name, error.problems)
        return None
    wrong = tuple(problems(found))
    _tell(place, f"{kind.name} {found.metadata.name}", wrong)
    return None if wrong else found


def _tell(place: Place, what: str, wrong: Iterable[Problem]) -> None:
    for path, text in wrong:
        click.echo(f"error: {place.file}:{place.line(path)}: {what}: {path}: {text}", err=True)


def _kind(value: Tree) -> Kind | None:
    kind = _BY_NAME.get(str(value.get("kind")))
    return kind if kind is not None and value.get("apiVersion") == kind.api_version else None
