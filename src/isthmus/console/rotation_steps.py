"""The steps of a rotation: what `isthmus ca rotate` does in all clusters of the mesh.

CannotRotate: not done, and why.
└── NotHeld: the stage before is not held by all; says by whom not
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from isthmus.ca import store
from isthmus.ca.rotation import Rotation, Stage, begin, prints, signer
from isthmus.console.ca_clusters import CaCluster, Reached
from isthmus.console.ca_secret import Files
from isthmus.console.rotation_look import Seen, look
from isthmus.console.rotation_state import RotationState
from isthmus.kit.clock import Clock

_SHOWN = 20


class CannotRotate(Exception):
    pass


class NotHeld(CannotRotate):
    def __init__(self, behind: Collection[Seen]) -> None:
        lines = [f"  {each}" for each in behind][:_SHOWN]
        if len(behind) > _SHOWN:
            lines.append(f"  and {len(behind) - _SHOWN} more")
        hint = "(hint: isthmus ca rotate status --wait 10m; --leave-behind NAME gives one up)"
        super().__init__("\n".join(["the stage before is not held by all", *lines, hint]))


class Steps:
    """Moves a rotation on or back, one stage a step; a step that was cut off is done again by the same command.

    `left`: names of proxies and clusters that are not waited for. They are cut off when a root is forgotten.
    """

    def __init__(self, reached: Reached, clock: Clock, left: Collection[str] = ()) -> None:
        self._reached, self._clock, self._left = reached, clock, frozenset(left)
        self._state = RotationState(reached.config.client, reached.config.namespace)

    async def current(self) -> Rotation | None:
        """The last rotation, also one that is over. Raises `KubeError`."""
        return await self._state.read()

    async def start(self, directory: Path) -> Rotation:
        """Have all trust the roots of the CAs in `directory`. Raises `CannotRotate`, `KubeError`."""
        after = self._files_in(directory)
        before = {each.name: files for each in self._clusters() if (files := await each.secret.files())}
        known = await self._state.read()
        rotation = self._begun(before, after)
        if known is not None and not known.is_over:
            if known.stage is not Stage.TRUST or not _same(known, rotation):
                raise CannotRotate(
                    f"a rotation is under way, at stage {known.stage.value} "
                    "(hint: isthmus ca rotate status, then switch, finish or abort)"
                )
            rotation = known
        elif known is not None:
            await self._must_hold(known)
        return await self._go(rotation, Stage.TRUST)

    async def switch(self, directory: Path) -> Rotation:
        """Have the CAs in `directory` sign. Raises `CannotRotate`, `KubeError`."""
        rotation = await self._under_way("switch", Stage.TRUST, Stage.SIGN, Stage.RETURN)
        after = self._files_in(directory)
        for name in (each.name for each in self._clusters() if each.name in rotation.clusters):
            side = rotation.clusters[name]
            if side.new != side.old and (name not in after or signer(after[name]) != side.new):
                raise CannotRotate(
                    f"{directory}: has another CA for cluster {name!r} than the rotation began with "
                    "(hint: give the directory of isthmus ca rotate start, or abort)"
                )
        if rotation.stage is not Stage.SIGN:
            await self._must_hold(rotation)
        return await self._go(rotation, Stage.SIGN, after)

    async def finish(self) -> Rotation:
        """Have all forget the roots that sign no more. Raises `CannotRotate`, `KubeError`."""
        rotation = await self._under_way("finish", Stage.SIGN, Stage.FORGET)
        if rotation.stage is not Stage.FORGET:
            await self._must_hold(rotation)
        return await self._go(rotation, Stage.FORGET)

    async def abort(self) -> Rotation:
        """One stage back: to the old CA that signs, or to the old roots alone. Raises `CannotRotate`, `KubeError`."""
        rotation = await self._under_way("abort", Stage.TRUST, Stage.SIGN, Stage.RETURN, Stage.WITHDRAW)
        if rotation.stage is Stage.SIGN:
            return await self._go(rotation, Stage.RETURN)
        if rotation.stage is Stage.RETURN:
            behind = await self._behind(rotation)
            if behind:
                # The old CA may not sign everywhere yet: that was cut off.
                await self._apply(rotation, {})
                raise NotHeld(behind)
        return await self._go(rotation, Stage.WITHDRAW)

    async def _under_way(self, step: str, *stages: Stage) -> Rotation:
        rotation = await self._state.read()
        if rotation is None:
            raise CannotRotate("no rotation is under way (hint: isthmus ca rotate start DIRECTORY)")
        if rotation.stage not in stages:
            raise CannotRotate(
                f"the rotation is at stage {rotation.stage.value}, from which no {step} leads "
                "(hint: isthmus ca rotate status says what does)"
            )
        return rotation

    async def _must_hold(self, rotation: Rotation) -> None:
        if behind := await self._behind(rotation):
            raise NotHeld(behind)

    async def _behind(self, rotation: Rotation) -> list[Seen]:
        seen = await look(self._reached, rotation)
        return [each for each in seen if each.why and self._left.isdisjoint((each.name, each.cluster))]

    async def _go(
        self, rotation: Rotation, stage: Stage, after: Mapping[str, Files] | None = None
    ) -> Rotation:
        rotation = rotation.at(stage)
        await self._state.write(rotation)  # first: whoever comes next knows what may have been begun
        await self._apply(rotation, after or {})
        if rotation.is_over:
            for cluster in self._clusters():
                await cluster.secret.forget_aside()
        return rotation

    async def _apply(self, rotation: Rotation, after: Mapping[str, Files]) -> None:
        for cluster in self._clusters():
            if cluster.name in rotation.clusters:
                files = await self._signing(cluster, rotation, after.get(cluster.name))
                changed = rotation.changed(cluster.name, files)
                self._verified(cluster.name, changed)
                await cluster.secret.put(changed)

    async def _signing(self, cluster: CaCluster, rotation: Rotation, new: Files | None) -> Files:
        """The files of the CA that is to sign in the cluster; those of the old one are set aside."""
        files, side = await cluster.secret.files() or {}, rotation.clusters[cluster.name]
        wanted, found = rotation.issuer(cluster.name), signer(files)
        if found == wanted:
            return files
        if found not in {side.old, side.new}:
            raise CannotRotate(
                f"cluster {cluster.name!r}: secret {store.SECRET} holds a CA that is not of the rotation "
                "(hint: somebody else changed it; bring back what was there)"
            )
        if rotation.new_signs and new is not None:
            await cluster.secret.set_aside(files)
            return new
        aside = await cluster.secret.aside()
        if aside is None or signer(aside) != wanted:
            raise CannotRotate(
                f"cluster {cluster.name!r}: the files of CA {wanted[:16]} are not there any more"
            )
        return aside

    def _clusters(self) -> list[CaCluster]:
        return [each for each in self._reached.clusters if each.name not in self._left]

    def _files_in(self, directory: Path) -> dict[str, Files]:
        """The CA files for clusters: each in a directory of its name, or else those that all share."""
        found: dict[str, Files] = {}
        for name in (cluster.name for cluster in self._clusters()):
            place = next(
                (each for each in (directory / name, directory) if (each / store.CA_CERT).exists()), None
            )
            if place is not None:
                try:
                    found[name] = store.read(place)
                except store.InvalidStore as error:
                    raise CannotRotate(f"{place}: {error}") from error
                self._verified(str(place), found[name])
        if not found:
            raise CannotRotate(
                f"{directory}: there is no {store.CA_CERT}, neither in it nor in a directory of a cluster's name "
                "(hint: isthmus ca init DIRECTORY --cluster NAME)"
            )
        return found

    def _begun(self, before: Mapping[str, Files], after: Mapping[str, Files]) -> Rotation:
        if missing := after.keys() - before.keys():
            raise CannotRotate(
                f"cluster {min(missing)!r} has no secret {store.SECRET}, which is to be changed "
                "(hint: to plug a CA in under the root that Citadel made for itself: isthmus ca export, then "
                "isthmus ca intermediate)"
            )
        old = {name: self._verified(f"cluster {name!r}", files) for name, files in before.items()}
        new = {name: self._verified(name, files) for name, files in after.items()}
        rotation = begin(old, new, self._clock.now())
        if all(side.old == side.new for side in rotation.clusters.values()):
            raise CannotRotate("all clusters have these CAs already (hint: isthmus ca init makes others)")
        return rotation

    def _verified(self, where: str, files: Files) -> store.Material:
        try:
            return store.verify(files, self._clock.now())
        except store.InvalidStore as error:
            raise CannotRotate(f"{where}: {error}") from error


def _same(one: Rotation, other: Rotation) -> bool:
    """Whether both lead to the same CAs."""
    return prints(one.roots.encode()) == prints(other.roots.encode()) and all(
        name in other.clusters and side.new == other.clusters[name].new for name, side in one.clusters.items()
    )
