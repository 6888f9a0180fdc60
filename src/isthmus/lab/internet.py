"""The public internet between clusters: each has one public address, and nothing else crosses.

It is a `Wan` of its own beside the VPN. Pods call out under their cluster's public address; in comes only
what a `ServiceVip` of that address hands on to a pod, as a load balancer would.
"""

from __future__ import annotations

from ipaddress import ip_network

from isthmus.kit.netlink import address
from isthmus.lab.fabric import Fabric
from isthmus.lab.service_proxy import apply
from isthmus.lab.wan import Wan

_LOOPBACK = 1
_NEIGHBOURS = "nd-neighbor-solicit, nd-neighbor-advert"


async def join_internet(
    internet: Wan, fabric: Fabric, public_address: str, api: tuple[str, int] | None = None
) -> None:
    """Connect the router of `fabric` to `internet` under `public_address`, behind NAT and a firewall.

    `api`: the address and port of an API server that anybody may call, as those of clouds.
    """
    await fabric.apply(address(public_address, _LOOPBACK))
    await apply(fabric.router, firewall(internet.device, public_address, api))
    known = (public_address, *((api[0],) if api is not None else ()))
    await internet.join(fabric, [str(ip_network(each)) for each in known])


def firewall(device: str, public_address: str, api: tuple[str, int] | None = None) -> str:
    """nftables rules of a router whose link to the internet is `device`, of the family of its public address."""
    coming = f'iifname "{device}"'
    ip = "ip6" if ":" in public_address else "ip"
    to_api = f"{coming} {ip} daddr {api[0]} tcp dport {api[1]} accept" if api is not None else ""
    # In IPv6 neighbours find each other by packets to the node itself.
    neighbours = f"{coming} icmpv6 type {{ {_NEIGHBOURS} }} accept" if ip == "ip6" else ""
    return f"""table {ip} isthmus_internet
delete table {ip} isthmus_internet
table {ip} isthmus_internet {{
  chain leaving {{
    type nat hook postrouting priority 100; policy accept;
    oifname "{device}" {ip} saddr != {public_address} snat to {public_address}
  }}
  chain to_pods {{
    type filter hook forward priority -10; policy accept;
    {coming} ct state established,related accept
    {coming} ct status dnat accept
    {coming} drop
  }}
  chain to_node {{
    type filter hook input priority -10; policy accept;
    {coming} ct state established,related accept
    {coming} ct status dnat accept
    {to_api}
    {neighbours}
    {coming} drop
  }}
}}
"""
