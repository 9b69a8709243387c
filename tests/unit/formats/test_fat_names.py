from fnmatch import fnmatchcase

from vmdk2kvm.formats.fat_names import any_case


def test_every_case_fits_and_wildcards_stay() -> None:
    pattern = any_case("/EFI/*/shimx64.efi")
    for path in ("/EFI/debian/shimx64.efi", "/efi/Debian/SHIMX64.EFI"):
        assert fnmatchcase(path, pattern)
    assert not fnmatchcase("/EFI/debian/shimaa64.efi", pattern)
