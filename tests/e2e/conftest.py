"""Real guests for end-to-end tests; each is built when first asked for and cached."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests.catalog import GUESTS
from tests.guests.disk import build


@pytest.fixture(scope="session")
def guest_disk() -> Callable[[str], Path]:
    """The VMDK of a guest by name; never write to it."""
    return lambda name: build(GUESTS[name])
