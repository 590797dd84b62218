"""The network's part of `covey doctor`: tries this device's way to each paired one, and names what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from peers import doctor, probes
from peers.book import find
from peers.errors import PeersError
from peers.findings import Here
from peers.state import FOLDER
from runtime import config, paths
from runtime.doctor import Finding
from runtime.errors import CoveyError
from runtime.own_state import own_state
from runtime.reach import Reach


def examine(root: Path, far: Reach, *, awake: Collection[str] = ()) -> list[Finding]:
    """Return what was found on the network. Dials paired devices and nobody else; with `off` not even those.

    `awake`: devices of which the owner says that they are on. Raises UnknownPeer for a name that is none.
    """
    if far == "off":
        return [_finding(one) for one in doctor.diagnose(Here(networks=("not looked at",), looks="off"), [])]
    if not (root / FOLDER).is_dir():
        return [Finding("network", "ok", "no device is paired yet", "To pair one: `covey pair`.")]
    try:
        state = own_state(root, config.load(paths.settings_file(root)))
        names = {find(state.peers.book(), name).name for name in awake}
        here, others = asyncio.run(probes.examine(state, far, awake=names))
    except CoveyError as error:
        return [Finding("network", "fail", str(error))]
    except PeersError as error:
        if awake:
            raise
        return [Finding("network", "fail", str(error), "Mend that first, and run `covey doctor` again.")]
    found = [_finding(one) for one in doctor.diagnose(here, others)]
    return [Finding("identity", "warn", state.notice), *found] if state.notice else found


def _finding(known: doctor.Diagnosis) -> Finding:
    return Finding(known.about, known.status, known.sentence, known.cure, known.cause)
