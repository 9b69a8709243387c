"""`python -m tests.guests build|prove|path NAME|all|linux`: make guests ahead of the tests.

`all` are the guests of `make test`, `linux` those that the zoo alone needs.

`build` and `prove` print the seconds, `path` only where the VMDK is; `prove` and `path` build too.
Two at a time: a guest's appliance uses one processor for most of its life.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.guests.catalog import GUESTS, Guest
from tests.guests.linux_catalog import LINUX, MACHINES, LinuxGuest
from tests.guests.linux_disk import disks
from tests.guests.proof import NotProven, prove

_ACTIONS: dict[str, Callable[[Guest | LinuxGuest], object]] = {"build": disks, "prove": prove}
_SETS: dict[str, tuple[Guest | LinuxGuest, ...]] = {"all": tuple(GUESTS.values()), "linux": LINUX}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.guests")
    parser.add_argument("action", choices=[*_ACTIONS, "path"])
    parser.add_argument("name", choices=[*MACHINES, *_SETS])
    args = parser.parse_args()
    wanted = _SETS[args.name] if args.name in _SETS else (MACHINES[args.name],)
    if args.action == "path":
        print(*(path for guest in wanted for path in disks(guest)), sep="\n")
        return 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        return max(pool.map(partial(_timed, _ACTIONS[args.action]), wanted))


def _timed(action: Callable[[Guest | LinuxGuest], object], guest: Guest | LinuxGuest) -> int:
    started = time.monotonic()
    try:
        result = action(guest)
    except NotProven as error:
        print(f"{guest.name}: not proven: {error}", flush=True)
        return 1
    print(f"{guest.name}: {result} ({time.monotonic() - started:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
