from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.config.layers import Loaded, merge
from vmdk2kvm.config.load import FILE_BYTES_MAX, dump, load, parse_layer, read_layer
from vmdk2kvm.config.settings import Command, Settings
from vmdk2kvm.config.values import NicSetting
from vmdk2kvm.errors import ConfigError
from vmdk2kvm.model.choices import FlattenMode, FstabMode, OnBootFailure
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.report import BootBus, StageName

CWD = Path("/work-here")
FILE = Path("/etc/vm.yaml")


def from_text(*texts: str, environment: dict[str, str] | None = None, **flags: object) -> Loaded:
    from vmdk2kvm.config.layers import from_environment, from_flags

    layers = [parse_layer(text, FILE) for text in texts]
    return merge([*layers, from_environment(environment or {}), from_flags(flags)], CWD)


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        from_text(text)
    return caught.value


def test_nothing_given_is_the_defaults() -> None:
    settings = from_text("").settings
    assert settings == Settings(output_dir=CWD / "out")
    assert settings.stages == tuple(StageName)


def test_layers_in_order() -> None:
    base, vm = "workers: 1\nvm_name: base\ntimeout: 10\nchecksum: true\n", "workers: 2\nvm_name: vm\n"
    loaded = from_text(base, vm, environment={"VMDK2KVM_WORKERS": "3", "VMDK2KVM_TIMEOUT": "20"}, workers="4")
    got = loaded.settings
    assert (got.checksum, got.vm_name, got.timeout, got.workers) == (True, "vm", 20, 4)
    told = {key: str(loaded.origins[key]) for key in ("checksum", "vm_name", "timeout", "workers", "trim")}
    assert told == {
        "checksum": "/etc/vm.yaml:4",
        "vm_name": "/etc/vm.yaml:2",
        "timeout": "VMDK2KVM_TIMEOUT",
        "workers": "--workers",
        "trim": "default",
    }


def test_a_later_list_replaces_an_earlier_one() -> None:
    assert from_text("skip_fix: [a, b]", "skip_fix: [c]").settings.skip_fix == ("c",)
    assert from_text("skip_fix: [a, b]", "skip_fix: []").settings.skip_fix == ()


def test_one_value_is_a_list_of_one() -> None:
    settings = from_text("vmdk: a.vmdk\nto_output: a.qcow2\nstages: fetch\n").settings
    assert settings.vmdk == (Path("/etc/a.vmdk"),)
    assert settings.to_output == (Path("a.qcow2"),)
    assert settings.stages == (StageName.FETCH,)


def test_paths_lie_beside_the_file_that_names_them_or_in_the_current_directory() -> None:
    assert from_text("vmdk: [a.vmdk, /b.vmdk, ../c.vmdk]").settings.vmdk == (
        Path("/etc/a.vmdk"),
        Path("/b.vmdk"),
        Path("/etc/../c.vmdk"),
    )
    assert from_text("", vmdk=["a.vmdk"]).settings.vmdk == (CWD / "a.vmdk",)
    assert from_text("", environment={"VMDK2KVM_VMDK": "a:/b"}).settings.vmdk == (CWD / "a", Path("/b"))


def test_home_is_known_in_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert from_text("output_dir: ~/vms").settings.output_dir == Path("/home/ada/vms")
    assert from_text("", output_dir="~/vms").settings.output_dir == CWD / "~/vms"


def test_a_relative_configuration_file_counts_from_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/vm.yaml").write_text("vmdk: a.vmdk\n")
    loaded = load([Path("sub/vm.yaml")], {}, {}, tmp_path)
    assert loaded.settings.vmdk == (tmp_path / "sub/a.vmdk",)


@pytest.mark.parametrize(
    ("text", "line", "part", "hint"),
    [
        ("compress: true\nout-format: raw\n", 2, '"out-format" is not known', 'did you mean "out_format"?'),
        ("zzz: 1", 1, '"zzz" is not known', "`vmdk2kvm --dump-schema` lists every key."),
        ("\n\nout_format: qcow\n", 3, '"out_format" cannot be "qcow"', 'did you mean "qcow2"?'),
        ("stages:\n- fetch\n- fixx\n", 3, '"stages" cannot be "fixx"', 'did you mean "fix"?'),
        ("compress: yes", 1, '"compress" cannot be "yes"', "write true or false."),
        ("timeout: 0", 1, '"timeout" cannot be 0', None),
        ("timeout: 10:00", 1, '"timeout" cannot be "10:00": must be a whole number', None),
        ("timeout: 0600", 1, '"timeout" cannot be "0600"', None),
        ("timeout: true", 1, '"timeout" cannot be true', None),
        ("workers: null", 1, '"workers" cannot be null', None),
        ("vm_name: 2024", 1, "must be text; put it in quotes", None),
        ('output_dir: ""', 1, "must not be empty", None),
        ('vmdk: "a\\0b"', 1, "NUL", None),
        ('vmdk: "\\uD800"', 1, "lone surrogate", None),
        ("vmdk: {a: b}", 1, '"vmdk" cannot be {"a": "b"}', None),
        ("vmdk:\n- a\n- [b]\n", 3, '"vmdk" cannot be ["b"]', None),
        (
            "trim: true\nvmdk: a\ntrim: false\n",
            3,
            '"trim" appears twice (first in line 1)',
            "keep one of them.",
        ),
        ("- a\n", 1, "`key: value`", None),
        ("vmdk: [\n", 2, "not valid YAML", None),
        ("a: b\n---\nc: d\n", 2, "not valid YAML", None),
        ("1: 2\n", 1, "a key that is not text", None),
        ("vmdk: *a\n", 1, "not valid YAML", None),
        ("trim: true\nvmdk: &a [*a]\n", 2, "too large when its aliases", None),
        ("trim: true\nvmdk: " + "[" * 5000, 2, "nested too deep", None),
        ("vmdk: !!python/object:os.system x\n", 1, "tag that is not allowed", None),
        ("trim: true\n# \x01\n", 2, "a character that YAML forbids", None),
        ("skip_fix: &a [x]\nto_output: [" + "*a, " * 40 + "]", 2, "too many aliases", None),
        ("out_format: raw\ncompress: true\n", 2, "does not go with", None),
        ("vmdk: [a, b]\nto_output: [c]\n", 2, "1 files for 2 disks", None),
        ("to_output: [c, c]\n", 1, "one file twice", None),
        (
            "vmdk: a\nto_output: one.raw\n",
            2,
            'format "qcow2" "one.raw"',
            "choose out_format raw, or a name that ends in .qcow2.",
        ),
        ("out_format: vdi\nto_output: [a, b.IMG]\n", 2, 'format "vdi" "b.IMG"', None),
        ("out_format: raw\nto_output: a.vmdk\n", 2, '"a.vmdk"', "choose a name that ends in .raw."),
        (
            "stages: fetch,flatten\n",
            1,
            '"stages" cannot be "fetch,flatten"',
            "write a list: stages: [fetch, flatten].",
        ),
        ("stages: [fetch, flatten, fix]\n", 1, 'the stage "fix" needs the stage "inspect"', None),
        ("nics: [00:50:56:0:0:1]\ntrim: maybe\n", 2, '"trim" cannot be', None),
        ("nics:\n- mac: 00:50:56:00:00:01\n  nmae: a\n", 3, 'key "nmae" is not', 'did you mean "name"?'),
        ("nics:\n- mac: 00:50:56:00:00:01\n- name: a\n", 3, 'an item of "nics" lacks the key "mac"', None),
        ("nics:\n- mac: 00:50:56:00:00:01\n  name: en*\n", 3, '"name" in "nics" cannot be "en*"', None),
        ("nics:\n  mac: 01:50:56:00:00:01\n", 2, '"mac" in "nics" cannot be "01:50:56:00:00:01"', None),
        ("nics:\n- 3\n", 2, '"nics" cannot be 3', None),
        ("nics: [00-50-56-0-0-1, 005056000001]\n", 1, 'two cards the MAC "00:50:56:00:00:01"', None),
        ("nics: ['0:0:0:0:0:1,name=a', '0:0:0:0:0:2,name=a']\n", 1, 'two cards the name "a"', None),
        ("stages: [fetch]\nqemu_test: true\n", 2, '"qemu_test" needs the stage "validate"', None),
        (
            "stages: validate\n",
            1,
            'the stage "validate" boots nothing without "qemu_test"',
            'add "qemu_test", or leave "validate" out; `vmdk2kvm validate IMAGE` tests finished images.',
        ),
        ("stages: validate\nqemu_test: true\n", 1, 'the stage "validate" needs the stage "convert"', None),
    ],
)
def test_errors_name_file_and_line(text: str, line: int, part: str, hint: str | None) -> None:
    error = refused(text)
    assert part in error.message
    assert (error.file, error.line) == (FILE, line)
    assert error.message.startswith(f"{FILE}:{line}: ")
    assert hint is None or error.hint == hint
    assert error.exit_code == 2


def test_all_stages_named_are_the_default() -> None:
    """Nothing was picked, so the summary's "not tested" is all there is to say."""
    named = "stages: [validate, convert, fix, inspect, flatten, fetch]\n"
    assert set(from_text(named).settings.stages) == set(StageName)


def test_a_bad_value_is_an_error_even_where_a_later_layer_would_win() -> None:
    with pytest.raises(ConfigError, match="workers"):
        from_text("workers: many", workers="2")


def test_aliases_are_fine_in_moderation() -> None:
    settings = from_text("skip_fix: &names [a, b]\nto_output: *names\n").settings
    assert settings.skip_fix == ("a", "b")


def test_aliases_cannot_multiply() -> None:
    """Three lines that stand for a hundred million words."""
    levels = ["vmdk: &a [x, x, x, x, x, x, x, x]"]
    for name, before in zip("bcdefghi", "abcdefgh", strict=True):
        levels.append(f"{name}: &{name} [*{before}, *{before}, *{before}]")
    text = "\n".join(
        [levels[0], "image: [" + ", ".join(level.split(": ", 1)[1] for level in levels[1:]) + "]"]
    )
    assert "too large when its aliases" in refused(text).message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def refused_file(content: bytes) -> ConfigError:
        (tmp_path / "a.yaml").write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            read_layer(Path("a.yaml"), tmp_path)
        return caught.value

    assert "larger than 1 MiB" in refused_file(b"#" * (FILE_BYTES_MAX + 1)).message
    bad = refused_file(b"trim: true\nvm_name: \xff\n")
    assert (bad.line, "is not UTF-8" in bad.message) == (2, True)
    with pytest.raises(ConfigError, match="no such file"):
        read_layer(Path("missing.yaml"), tmp_path)
    with pytest.raises(ConfigError, match="directory"):
        read_layer(Path(), tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbftrim: true\r\nforce: true\r\n")
    assert list(read_layer(tmp_path / "a.yaml", tmp_path)) == ["trim", "force"]


@pytest.mark.parametrize(
    ("environment", "part", "hint"),
    [
        ({"VMDK2KVM_OUTFORMAT": "raw"}, "names no setting", 'did you mean "VMDK2KVM_OUT_FORMAT"?'),
        ({"VMDK2KVM_trim": "1"}, "names no setting", None),
        (
            {"VMDK2KVM_CONFIG": "a.yaml"},
            "names no setting",
            "--config has no variable; name the file on the command line, and unset this one.",
        ),
        (
            {"VMDK2KVM_STAGES": "fetch,flatten"},
            '"VMDK2KVM_STAGES" cannot be "fetch,flatten"',
            'separate the values with ":": VMDK2KVM_STAGES=fetch:flatten.',
        ),
        ({"VMDK2KVM_TRIM": "maybe"}, '"VMDK2KVM_TRIM" cannot be "maybe"', "write true or false."),
        ({"VMDK2KVM_TIMEOUT": "1e3"}, '"VMDK2KVM_TIMEOUT" cannot be "1e3"', None),
        ({"VMDK2KVM_TIMEOUT": "9" * 5000}, '"VMDK2KVM_TIMEOUT" cannot be', None),
    ],
)
def test_errors_name_the_variable(environment: dict[str, str], part: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        from_text("", environment=environment)
    assert part in caught.value.message
    assert hint is None or caught.value.hint == hint


def test_a_name_that_fits_its_format() -> None:
    for out_format, name in (("raw", "a.img"), ("raw", "a.RAW"), ("vdi", "a.vdi"), ("qcow2", "a.disk")):
        from_text(f"out_format: {out_format}\nto_output: {name}\n")
    with pytest.raises(ConfigError, match=r'"one\.raw"'):
        from_text("", to_output=["one.raw"])


def test_a_flag_with_a_comma_is_told_how_a_list_is_given() -> None:
    with pytest.raises(ConfigError) as caught:
        from_text("", stages=["fetch,flatten"])
    assert caught.value.hint == "give the option once for each: --stages fetch --stages flatten."


def test_errors_name_the_flag() -> None:
    with pytest.raises(ConfigError, match='"--boot-bus" cannot be "ide"'):
        from_text("", boot_bus="ide")


@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\U00110000"])
def test_an_escape_of_no_character(escape: str) -> None:
    with pytest.raises(ConfigError, match="names a character that does not exist") as refused:
        parse_layer(f'trim: true\nvm_name: "{escape}"\n', FILE)
    assert (refused.value.file, refused.value.line) == (FILE, 2)


@pytest.mark.parametrize(("word", "value"), [("1", True), ("Yes", True), ("off", False), ("FALSE", False)])
def test_switches_in_the_environment(word: str, value: bool) -> None:
    assert from_text("", environment={"VMDK2KVM_FORCE": word, "PATH": "/bin"}).settings.force is value


_BYTES = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)  # bytes of a name that is not UTF-8
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)
_NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)) | _BYTES, min_size=1)
_PATHS = st.lists(_NAME.map(lambda text: Path("/" + text)), max_size=3, unique=True).map(tuple)


@st.composite
def _settings(draw: st.DrawFn) -> Settings:
    """Any settings that are consistent."""
    vmdk = draw(_PATHS)
    names = st.lists(_NAME.map(Path), min_size=len(vmdk), max_size=len(vmdk), unique=True).map(tuple)
    formats = draw(st.sampled_from(OutputFormat))
    switches = ("allow_external_extents", "checksum", "no_grub", "no_regen_initramfs", "no_backup", "dry_run")
    return Settings(
        cmd=draw(st.none() | st.sampled_from(Command)),
        vmdk=vmdk,
        image=draw(_PATHS),
        vm_name=draw(st.none() | _TEXT),
        flatten=draw(st.sampled_from(FlattenMode)),
        output_dir=Path("/") / draw(_NAME),
        to_output=draw(names),
        out_format=formats,
        compress=draw(st.booleans()) and formats is OutputFormat.QCOW2,
        report=draw(st.none() | _NAME.map(lambda text: Path("/" + text))),
        fstab_mode=draw(st.sampled_from(FstabMode)),
        skip_fix=draw(st.lists(_TEXT, max_size=3).map(tuple)),
        boot_bus=draw(st.sampled_from(BootBus)),
        timeout=draw(st.none() | st.integers(1, 86_400)),
        on_boot_failure=draw(st.sampled_from(OnBootFailure)),
        workers=draw(st.integers(1, 64)),
        nics=tuple(
            NicSetting(mac=f"00:50:56:00:00:{index:02x}", name=draw(st.none() | st.just(f"ens{index}")))
            for index in range(draw(st.integers(0, 3)))
        ),
        **{name: draw(st.booleans()) for name in switches},
    )


@given(_settings())
def test_a_dump_gives_the_same_settings_again(settings: Settings) -> None:
    from vmdk2kvm.config.layers import Origin
    from vmdk2kvm.config.settings import TABLE

    origins = {key: Origin(place="a\nb: c") for key in TABLE}
    text = dump(Loaded(settings=settings, origins=origins))
    assert merge([parse_layer(text, FILE)], CWD).settings == settings


def test_network_cards_in_a_file_a_variable_and_a_flag() -> None:
    wanted = (NicSetting(mac="00:50:56:00:00:01", name="ens192", network="VM Network"),)
    text = "nics:\n- {mac: 00-50-56-00-00-01, name: ens192, network: VM Network}\n"
    word = "00:50:56:0:0:1,name=ens192,network=VM Network"
    assert from_text(text).settings.nics == wanted
    assert from_text("", nics=[word]).settings.nics == wanted
    two = from_text("", environment={"VMDK2KVM_NICS": f"{word};00:50:56:0:0:2"}).settings.nics
    assert two == (*wanted, NicSetting(mac="00:50:56:00:00:02"))


def test_a_dump_says_where_each_value_comes_from() -> None:
    lines = dump(from_text("trim: true", environment={"VMDK2KVM_FORCE": "1"}, timeout="7")).splitlines()
    told = {line.split(":")[0]: " ".join(line.split()) for line in lines}
    assert told["trim"] == "trim: true # /etc/vm.yaml:1"
    assert told["force"] == "force: true # VMDK2KVM_FORCE"
    assert told["timeout"] == "timeout: 7 # --timeout"
    assert told["output_dir"] == "output_dir: /work-here/out # default"
