"""A hostile host: made-up Covey announcements over multicast DNS, for so many seconds; prints how many.

python -m scripts.swarms.flood OWN_ADDRESS SECONDS
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
import time

from zeroconf import DNSOutgoing, ServiceInfo  # type: ignore[attr-defined]  # missing from its list of names

from peers.mdns import SERVICE

GROUP = ("224.0.0.251", 5353)
RESPONSE = 0x8400
AT_ONCE = 20
"""Announcements in one datagram."""
PAUSE_S = 0.01
"""Leaves the machine to others; 2,000 announcements a second are flood enough."""


def datagram() -> bytes:
    out = DNSOutgoing(RESPONSE)
    for _ in range(AT_ONCE):
        name = secrets.token_hex(4)
        info = ServiceInfo(
            SERVICE, f"{name}.{SERVICE}", port=1, server=f"{name}.local.", parsed_addresses=["10.77.0.66"]
        )
        out.add_answer_at_time(info.dns_pointer(), 0)
    return out.packets()[0]


def main(own: str, seconds: float) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flooding:
        flooding.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        until, sent = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            with contextlib.suppress(OSError):  # the network is gone just now
                flooding.sendto(datagram(), GROUP)
                sent += AT_ONCE
            time.sleep(PAUSE_S)
    return sent


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2])))
