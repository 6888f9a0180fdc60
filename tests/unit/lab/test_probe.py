"""What the probe says of this machine, and how it would mend others."""

from __future__ import annotations

import pytest

from isthmus.lab.probe import Check, check_machine, lacks, mend_namespaces
from unit.lab.inside import needs


@pytest.mark.lab
def test_where_the_lab_works_the_probe_says_so() -> None:
    needs("user")
    checks = {check.name: check for check in check_machine()}
    assert checks["namespaces"].ok
    assert checks["veth"].ok
    assert checks["nftables NAT"].ok
    assert checks["own root"].ok
    assert all(check.mend for check in checks.values() if not check.ok)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "AppArmor forbids them"),
        ({"kernel.unprivileged_userns_clone": "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"user.max_user_namespaces": "0"}, "sudo sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named_with_its_mend(
    settings: dict[str, str], said: str
) -> None:
    assert said in mend_namespaces(settings.get, is_root=False)
    assert said not in mend_namespaces(settings.get, is_root=True)


def test_only_what_is_needed_is_lacking() -> None:
    needed = Check("nft", ok=False, detail="not found")
    useful = Check("netem", ok=False, detail="unknown", needed=False)
    assert lacks([needed, useful, Check("veth", ok=True, detail="")]) == (needed,)
