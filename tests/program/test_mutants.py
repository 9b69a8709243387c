"""The errors that `make mutants` puts into the code."""

import ast
from pathlib import Path

import pytest
from scripts.mutants import SRC, Measured, judges_of, modules, mutants_of, mutated, without_reason


@pytest.mark.parametrize(
    ("source", "errors"),
    [
        ("a < b", {"a <= b"}),
        ("a and b", {"a or b"}),
        ("a + b", {"a - b"}),
        ("a += b", {"a -= b"}),
        ("not a", {"a"}),
        ("x = 1", {"x = 2"}),
        ("x = True", {"x = False"}),
        ("x = 'text'", set()),
        ("x: A | None", set()),
        ("@f(a=True)\ndef g(x: A | B) -> A | B:\n    pass", set()),
        ("x = a if b else c", {"x = a if True else c", "x = a if False else c"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if True]", "x = [a for a in b if False]"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    return None", set()),
        ("f(a)", {"pass"}),
        ("raise A", {"pass"}),
        ("while a:\n    break", {"while a:\n    continue"}),
        ("if a:\n    b", {"if True:\n    b", "if False:\n    b"}),
    ],
)
def test_errors(source: str, errors: set[str]) -> None:
    assert {ast.unparse(mutated(source, mutant)) for mutant in mutants_of(source)} == errors


def test_a_mutant_is_named_by_its_function_and_by_what_changed() -> None:
    source = "class A:\n    def f(self):\n        return self.x == self.y or self.x == self.y\n"
    names = [mutant.name for mutant in mutants_of(source)]
    assert "A.f: self.x == self.y -> self.x != self.y" in names
    assert "A.f: self.x == self.y -> self.x != self.y (2)" in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", modules(["formats/*", "fixes/*"]), ids=lambda path: path.stem)
def test_each_mutant_of_a_module_compiles_and_differs(path: Path) -> None:
    source = path.read_text()
    for mutant in mutants_of(source)[::25]:
        tree = mutated(source, mutant)
        compile(tree, path, "exec")
        assert ast.dump(tree) != ast.dump(ast.parse(source))


def test_the_tests_of_a_line_come_quickest_first() -> None:
    path = SRC / "vmdk2kvm/formats/fstab.py"
    in_function, at_import = mutants_of("def f(a):\n    return a\nX = 1\n")
    measured = Measured(
        tests_of={str(path): {1: [], 2: ["slow", "quick"], 3: [], 9: ["other"]}},
        seconds={"slow": 2.0, "quick": 1.0, "other": 3.0},
    )
    assert judges_of(path, in_function, measured) == ["quick", "slow"]
    assert judges_of(path, at_import, measured) == ["quick", "slow", "other"]


def test_a_survivor_needs_a_reason() -> None:
    results = {"formats/a.py": {"mutants": {"f: 1 -> 2": "survived", "f: 2 -> 3": "killed"}}}
    assert list(without_reason(results, {})) == ["formats/a.py: f: 1 -> 2"]
    assert not list(without_reason(results, {"formats/a.py": {"f: 1 -> 2": "both mean the same."}}))
