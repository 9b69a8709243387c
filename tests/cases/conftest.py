import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """The path of an installed program; a missing one skips here and fails in CI."""

    def find(name: str) -> str:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if found is None and os.environ.get("CI"):
            pytest.fail(f"{name} is missing")
        return found or pytest.skip(f"{name} is not installed")

    return find
