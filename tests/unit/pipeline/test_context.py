from pathlib import Path

import pytest

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import InputNotFound, UsageError
from vmdk2kvm.model.choices import CloudDatasource, PackageFile
from vmdk2kvm.pipeline.context import PACKAGE_LIMIT_BYTES, fix_options, read_package


def test_the_wishes_of_the_operator_reach_the_fixes(tmp_path: Path) -> None:
    package = tmp_path / "qemu-guest-agent.deb"
    package.write_bytes(b"!<arch>\n")
    settings = Settings(
        remove_vmware_tools=True,
        install_guest_agent=True,
        guest_agent_package=(package,),
        cloud_init_datasource=CloudDatasource.NONE,
    )
    options = fix_options(settings)
    assert (options.remove_vmware_tools, options.install_guest_agent) == (True, True)
    assert options.cloud_init_datasource is CloudDatasource.NONE
    assert options.guest_agent_packages == (PackageFile(name="qemu-guest-agent.deb", content=b"!<arch>\n"),)
    assert fix_options(Settings()).guest_agent_packages == ()


def test_a_package_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFound) as caught:
        read_package(tmp_path / "none.deb")
    assert caught.value.path == tmp_path / "none.deb"


def test_a_package_that_is_far_too_large(tmp_path: Path) -> None:
    path = tmp_path / "disk.deb"
    with path.open("wb") as file:
        file.truncate(PACKAGE_LIMIT_BYTES + 1)
    with pytest.raises(UsageError):
        read_package(path)
