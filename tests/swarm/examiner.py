"""A program for tests: the network's part of `covey doctor` alone, of the node whose home is COVEY_HOME. Prints JSON.

python -m tests.swarm.examiner auto|lo [NAME OF A DEVICE THAT IS AWAKE]...
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import cast

from runtime import network_doctor, paths
from runtime.reach import Reach

if __name__ == "__main__":
    found = network_doctor.examine(paths.home(), cast(Reach, sys.argv[1]), awake=sys.argv[2:])
    print(json.dumps([asdict(one) for one in found]))  # noqa: T201
