"""`python -m tests.guests build NAME|all`: make guests ahead of the tests; prints path and seconds."""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

from tests.guests.catalog import GUESTS, Guest
from tests.guests.disk import build


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.guests")
    parser.add_argument("action", choices=["build"])
    parser.add_argument("name", choices=[*GUESTS, "all"])
    args = parser.parse_args()
    wanted = list(GUESTS.values()) if args.name == "all" else [GUESTS[args.name]]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(_timed_build, wanted))


def _timed_build(guest: Guest) -> None:
    started = time.monotonic()
    path = build(guest)
    print(f"{guest.name}: {path} ({time.monotonic() - started:.0f} s)", flush=True)


main()
