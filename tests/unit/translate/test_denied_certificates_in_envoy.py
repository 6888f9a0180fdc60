"""The real Envoy refuses a certificate that is denied, and nobody else: not even another one of the same workload."""

from __future__ import annotations

import itertools

import yaml

from fakes.guarded_envoy import PKI, Guarded, greeting, guard, upstream
from isthmus.ca.denied import Denial
from isthmus.console.denying import policy
from isthmus.kit import x509

CART = "spiffe://cluster.local/ns/shop/sa/cart"
MANY = 250


def denial(shown):
    leaf = x509.load_certificate(shown.certificate)
    end = x509.life(leaf).end
    return Denial(
        identity=CART, since=1.0, serial=x509.serial(leaf), sha256=x509.fingerprint(leaf), until=end
    )


def invented(number):
    return Denial(identity=CART, since=1.0, serial=f"{number:x}", sha256=f"{number:064x}", until=9e9)


def test_one_certificate_is_refused_and_the_next_of_the_same_workload_is_not(tmp_path):
    stolen, next_one = (PKI.leaf(uris=(CART,)) for _ in range(2))
    denials = [*map(invented, range(1, MANY)), denial(stolen)]
    spec = policy(denials, "istio-system")["spec"]
    assert len(spec["rules"]) == 5  # an expression has a greatest length
    held = guard(yaml.safe_dump(spec))
    with greeting() as port:
        guarded = Guarded(tmp_path)
        guarded.holds("thief", stolen)
        guarded.holds("cart", next_one)
        with guarded.running(http=[held], tcp=[held], plain=[held], upstreams=[upstream("0", port)]):
            said = {
                (caller, kind): answer
                for caller, (kind, ask) in itertools.product(
                    ("thief", "cart", None),
                    (
                        ("http", lambda who: guarded.ask(guarded.http[0], caller=who)),
                        ("tcp", lambda who: guarded.says(guarded.tcp[0], caller=who)),
                    ),
                )
                for answer in [ask(caller)]
            }
            assert guarded.ask_plainly(guarded.plain[0]) == 200
    assert said == {
        ("thief", "http"): 403,
        ("thief", "tcp"): b"",
        ("cart", "http"): 200,
        ("cart", "tcp"): b"greeting",
        (None, "http"): 200,
        (None, "tcp"): b"greeting",
    }
