"""A rotation for people: its stage, who holds it, who does not, and what may come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from isthmus.ca.rotation import Rotation, Stage
from isthmus.console.render import table
from isthmus.console.rotation_look import PARTS, Seen
from isthmus.kit import x509

_MEANS = {
    Stage.TRUST: "all are to trust the new roots beside the old, the old CAs sign",
    Stage.SIGN: "the new CAs sign, all trust old and new roots",
    Stage.FORGET: "finished: the new CAs sign, roots that sign no more are to be forgotten",
    Stage.RETURN: "on the way back: the old CAs sign again, all trust old and new roots",
    Stage.WITHDRAW: "aborted: the old CAs sign, the new roots are to be forgotten",
}
_NEXT = {
    Stage.TRUST: ("isthmus ca rotate switch DIRECTORY", "isthmus ca rotate abort"),
    Stage.SIGN: ("isthmus ca rotate finish", "isthmus ca rotate abort"),
    Stage.RETURN: ("isthmus ca rotate abort", "isthmus ca rotate switch DIRECTORY"),
    Stage.FORGET: (),
    Stage.WITHDRAW: (),
}
_SHOWN = 50


def render_stage(rotation: Rotation) -> str:
    """What the stage means."""
    return f"stage {rotation.stage.value}: {_MEANS[rotation.stage]}"


def render_rotation(rotation: Rotation, seen: Sequence[Seen]) -> str:
    """All that is known of the rotation."""
    began = datetime.fromtimestamp(rotation.began, UTC)
    lines = [f"rotation of {began:%Y-%m-%d %H:%M} UTC, {render_stage(rotation)}", *_roots(rotation), ""]
    lines += [_held(seen), ""]
    behind = [each for each in seen if each.why]
    lines += [f"behind: {each}" for each in behind[:_SHOWN]]
    if len(behind) > _SHOWN:
        lines.append(f"and {len(behind) - _SHOWN} more")
    return "\n".join([*lines, _what_next(rotation, waits=bool(behind))])


def _roots(rotation: Rotation) -> Iterable[str]:
    known = {
        x509.fingerprint(each): each
        for pem in (rotation.roots, *(side.roots for side in rotation.clusters.values()))
        for each in x509.load_bundle(pem.encode())
    }
    new = [x509.fingerprint(each) for each in x509.load_bundle(rotation.roots.encode())]
    for what, prints in (("new root", new), ("retired root", rotation.retired)):
        for each in prints:
            end = datetime.fromtimestamp(x509.life(known[each]).end, UTC)
            yield f"{what}: {x509.names(known[each]).common_name}, until {end:%Y-%m-%d}, SHA-256 {each}"


def _held(seen: Sequence[Seen]) -> str:
    rows = []
    for cluster in sorted({each.cluster for each in seen}):
        cells = []
        for part in PARTS:
            ours = [each for each in seen if (each.cluster, each.part) == (cluster, part)]
            cells.append(f"{sum(not each.why for each in ours)} of {len(ours)}" if ours else "-")
        rows.append((cluster, *cells))
    return table(("CLUSTER", *(part.upper() for part in PARTS)), rows)


def _what_next(rotation: Rotation, *, waits: bool) -> str:
    ways = _NEXT[rotation.stage]
    if not ways:
        return "not all hold it yet" if waits else "all hold it: the rotation is over"
    if waits:
        back = "" if rotation.stage is Stage.RETURN else f"; back: {ways[1]}"
        return f"not all hold it yet: wait (isthmus ca rotate status --wait 10m), then: {ways[0]}{back}"
    return f"all hold it; next: {ways[0]}; or: {ways[1]}"
