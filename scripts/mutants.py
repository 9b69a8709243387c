"""`make mutants [ONLY=GLOB]`: does a test notice when the code is wrong?

Each mutant is one small error in a module of formats/ or fixes/: a comparison turned, a condition that
always holds, a statement left out. It lives in the memory of a forked process, never in a file, and the
tests that run its lines are run there, the quickest first. One that lets them all pass has survived and
needs a better test, or a reason in tests/survivors.toml.

Results are kept in build/mutants.json. A mutant is not tried again while its module is the same; a
survivor is, once the tests have changed. Exits 1 if fewer than 85 % die or a survivor has no reason.
(DeMillo, Lipton, Sayward: Hints on Test Data Selection, 1978.)
"""

import argparse
import ast
import copy
import fnmatch
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType

import pydantic  # noqa: F401  (here once, not in each fork)
import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
PACKAGES = ("formats", "fixes")
TESTS = ("tests/unit", "tests/cases")
RESULTS = ROOT / "build/mutants.json"
LOG = ROOT / "build/mutants.log"  # what the last process said
REASONS = ROOT / "tests/survivors.toml"
LEAST_DEAD = 0.85
NO_VERDICT = (5, 70)  # no test was found; the fork itself failed
TURNED: dict[type, type] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.Continue: ast.Break, ast.Break: ast.Continue,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`node` is the place in ast.walk's order, `choice` which of the errors that fit there."""

    name: str  # "function: before -> after"
    node: int
    choice: int
    lines: range


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Which tests run which lines of a module, and how long each test takes."""

    tests_of: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]


# --- the errors ---------------------------------------------------------------------------------


def errors_at(node: ast.AST) -> list[ast.AST]:
    """What may stand in the place of `node`."""
    match node:
        case ast.Compare(ops=[operator]):
            return [_with(node, ops=[TURNED[type(operator)]()])]
        case ast.BoolOp(op=operator) | ast.BinOp(op=operator) | ast.AugAssign(op=operator):
            return [_with(node, op=TURNED[type(operator)]())] if type(operator) in TURNED else []
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.Constant(value=int(value)):
            return [ast.Constant(not value if isinstance(value, bool) else value + 1)]
        case ast.If(test=test) | ast.IfExp(test=test) | ast.comprehension(ifs=[test]):
            return [_tested(node, value) for value in (True, False) if not isinstance(test, ast.Constant)]
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            return [ast.Return(ast.Constant(None))]
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.Raise():
            return [ast.Pass()]
        case ast.Continue() | ast.Break():
            return [TURNED[type(node)]()]
        case _:
            return []


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _tested(node: ast.AST, value: bool) -> ast.AST:
    test = ast.Constant(value)
    return _with(node, ifs=[test]) if isinstance(node, ast.comprehension) else _with(node, test=test)


def mutants_of(source: str) -> list[Mutant]:
    tree = ast.parse(source)
    owner, declared = _owners(tree), set(_declared(tree))
    seen: Counter[str] = Counter()
    found = []
    for index, node in enumerate(ast.walk(tree)):
        for choice, error in enumerate([] if node in declared else errors_at(node)):
            name = f"{owner[node]}: {_shown(node)} -> {_shown(error)}"
            seen[name] += 1
            again = f" ({seen[name]})" if seen[name] > 1 else ""
            found.append(Mutant(name=name + again, node=index, choice=choice, lines=_lines(node)))
    return found


def mutated(source: str, mutant: Mutant) -> ast.Module:
    tree = ast.parse(source)
    old = next(node for index, node in enumerate(ast.walk(tree)) if index == mutant.node)
    new = errors_at(old)[mutant.choice]
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list):
                setattr(parent, field, [new if each is old else each for each in value])
    return ast.fix_missing_locations(tree)


def _declared(tree: ast.Module) -> Iterator[ast.AST]:
    """Annotations and decorators: mypy reads them, and an error there is none of the code's behaviour."""
    for node in ast.walk(tree):
        annotations = [getattr(node, name, None) for name in ("annotation", "returns")]
        for each in (*annotations, *getattr(node, "decorator_list", ())):
            yield from ast.walk(each) if each is not None else ()


def _owners(tree: ast.Module) -> dict[ast.AST, str]:
    """The function or class each node stands in."""
    owners: dict[ast.AST, str] = {}

    def visit(node: ast.AST, owner: str) -> None:
        owners[node] = owner
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            owner = node.name if owner == "module" else f"{owner}.{node.name}"
        for child in ast.iter_child_nodes(node):
            visit(child, owner)

    visit(tree, "module")
    return owners


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _lines(node: ast.AST) -> range:
    """A statement with a body counts as its first line; a comprehension has no line of its own."""
    inner = node.target if isinstance(node, ast.comprehension) else node
    first = inner.lineno  # type: ignore[attr-defined]
    last = first if isinstance(node, ast.If) else inner.end_lineno  # type: ignore[attr-defined]
    return range(first, last + 1)


# --- the tests that run a line -------------------------------------------------------------------


class Recorder:
    """A pytest plugin: what each test runs, for how long, and which fail as they are."""

    def __init__(self, coverage: object) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def pytest_runtest_setup(self, item: object) -> None:
        self.coverage.switch_context(item.nodeid)  # type: ignore[attr-defined]

    def pytest_runtest_logreport(self, report: object) -> None:
        name = report.nodeid  # type: ignore[attr-defined]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration  # type: ignore[attr-defined]
        if report.failed:  # type: ignore[attr-defined]
            self.failed.append(name)


class Only:
    """A pytest plugin: these tests alone, in this order."""

    def __init__(self, names: list[str]) -> None:
        self.order = {name: index for index, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid]
        )


def run_tests(paths: list[str], *plugins: object) -> int:
    quiet = ["-q", "-m", "not appliance", "-p", "no:randomly", "-p", "no:cacheprovider"]
    return int(pytest.main([*quiet, "--hypothesis-seed=0", *paths], plugins=list(plugins)))


def measure(modules: list[Path]) -> Measured:
    """Run all tests once; one that fails as it is cannot judge, and is left out by name."""
    kept = RESULTS.with_suffix(".measured")

    def child() -> int:
        from coverage import Coverage

        coverage = Coverage(data_file=None, source=[str(SRC)], config_file=False)
        coverage.start()
        recorder = Recorder(coverage)
        run_tests(list(TESTS), recorder)
        coverage.stop()
        data = coverage.get_data()
        lines = {str(path): data.contexts_by_lineno(str(path)) for path in modules}
        fields = {"lines": lines, "seconds": recorder.seconds, "failed": recorder.failed}
        kept.write_text(json.dumps(fields))
        return 0

    if in_fork(child, limit_s=3600) != 0:
        sys.exit(f'the tests could not be run; "{LOG}" says why.')
    fields = json.loads(kept.read_text())
    failed = {"", *fields["failed"]}
    for name in fields["failed"]:
        print(f"fails without any mutant, so it is left out: {name}", flush=True)
    tests_of = {
        path: {int(line): [name for name in names if name not in failed] for line, names in lines.items()}
        for path, lines in fields["lines"].items()
    }
    return Measured(tests_of=tests_of, seconds=fields["seconds"])


def judges_of(path: Path, mutant: Mutant, measured: Measured) -> list[str]:
    """Quickest first. What runs at import only concerns every test of the module."""
    by_line = measured.tests_of[str(path)]
    names = {name for line in mutant.lines for name in by_line.get(line, [])}
    if not names and (mutant.name.startswith("module:") or any(by_line.get(i) == [] for i in mutant.lines)):
        names = {name for each in by_line.values() for name in each}
    return sorted(names, key=lambda name: measured.seconds[name])


# --- one mutant ----------------------------------------------------------------------------------


class Finder(importlib.abc.MetaPathFinder):
    """Finds the module at `path` and gives it the code of `tree`."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=Loader(fullname, self.path, self.tree)
        )


class Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self.tree = tree

    def get_code(self, _: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


def verdict(path: Path, source: str, mutant: Mutant, measured: Measured) -> str:
    tests = judges_of(path, mutant, measured)
    if not tests:
        return "survived"

    own = [test for test in tests if f"/test_{path.stem}.py" in test]
    others = [test for test in tests if test not in set(own)]
    for some in filter(None, (own, others)):
        tree = mutated(source, mutant)
        status = in_fork(partial(judge, path, tree, some), limit_s=limit_s(some, measured))
        if status in NO_VERDICT:
            sys.exit(f'"{mutant.name}" could not be judged; "{LOG}" says why.')
        if status != 0:
            return "killed (too slow)" if status is None else "killed"
    return "survived"


def limit_s(tests: list[str], measured: Measured) -> float:
    return 30 + 5 * sum(measured.seconds[test] for test in tests)


def judge(path: Path, tree: ast.Module, tests: list[str]) -> int:
    """In a process of its own: the exit status of `tests`, which see `tree` as the module."""
    name = ".".join(path.relative_to(SRC).with_suffix("").parts)
    sys.meta_path.insert(0, Finder(name, path, tree))
    return run_tests(["-x", *sorted({test.partition("::")[0] for test in tests})], Only(tests))


def in_fork(child: Callable[[], int], *, limit_s: float) -> int | None:
    """The exit status of `child` in a process group of its own; None when it took too long."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        log = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for descriptor in (0, 1, 2):
            os.dup2(log, descriptor)
        status = NO_VERDICT[-1]
        try:
            status = child()
        except BaseException:  # noqa: BLE001  (a mutant may raise anything, and the fork must not return)
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


# --- all of them ---------------------------------------------------------------------------------


def modules(patterns: list[str]) -> list[Path]:
    found = (path for package in PACKAGES for path in sorted((SRC / "vmdk2kvm" / package).rglob("*.py")))
    return [path for path in found if any(fnmatch.fnmatch(short(path), each) for each in patterns)]


def short(path: Path) -> str:
    return str(path.relative_to(SRC / "vmdk2kvm"))


def digest_of_tests() -> str:
    digest = hashlib.sha256()
    for folder in TESTS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def known(results: dict, path: Path, source: str, tests: str) -> dict[str, str]:
    """The verdicts of earlier runs that still hold."""
    kept = results.get(short(path), {})
    if kept.get("source") != hashlib.sha256(source.encode()).hexdigest():
        return {}
    same_tests = kept["tests"] == tests
    return {name: how for name, how in kept["mutants"].items() if same_tests or how != "survived"}


def check_that_no_error_survives(path: Path, source: str, measured: Measured) -> None:
    """The module as it is must pass in the place of a mutant, else every mutant would seem dead."""
    tests = sorted({name for names in measured.tests_of[str(path)].values() for name in names})
    if (
        tests
        and in_fork(partial(judge, path, ast.parse(source), tests), limit_s=limit_s(tests, measured)) != 0
    ):
        sys.exit(f'the tests of "{short(path)}" fail without any mutant; "{LOG}" says why.')


def try_all(path: Path, results: dict, tests: str, measured: Callable[[], Measured]) -> None:
    source = path.read_text()
    verdicts = known(results, path, source, tests)
    entry = {"source": hashlib.sha256(source.encode()).hexdigest(), "tests": tests, "mutants": verdicts}
    results[short(path)] = entry
    untried = [mutant for mutant in mutants_of(source) if mutant.name not in verdicts]
    if untried:
        check_that_no_error_survives(path, source, measured())
    for mutant in untried:
        verdicts[mutant.name] = verdict(path, source, mutant, measured())
        write(results)
        if verdicts[mutant.name] == "survived":
            print(f"survived  {short(path)}:{mutant.lines.start}  {mutant.name}", flush=True)
    survived = sum(how == "survived" for how in verdicts.values())
    print(f"{short(path)}: {len(verdicts) - survived} of {len(verdicts)} died", flush=True)


def write(results: dict) -> None:
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    part.replace(RESULTS)


def without_reason(results: dict, reasons: dict) -> Iterator[str]:
    for module, entry in results.items():
        for name, how in entry["mutants"].items():
            if how == "survived" and name not in reasons.get(module, {}):
                yield f"{module}: {name}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description="Mutation testing.")
    parser.add_argument("only", nargs="*", default=["*"], help='modules, as "formats/fstab.py" or "fixes/*"')
    chosen = modules(parser.parse_args().only)
    if not chosen:
        parser.error("no module of formats/ or fixes/ has such a name")
    os.chdir(ROOT)
    RESULTS.parent.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    tests, measurement = digest_of_tests(), []

    def measured() -> Measured:
        if not measurement:
            print("running all tests once, to learn which test runs which line", flush=True)
            measurement.append(measure(chosen))
        return measurement[0]

    with tempfile.TemporaryDirectory() as examples:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = examples  # what mutants fail on is nobody else's
        for path in chosen:
            try_all(path, results, tests, measured)
    tried = {short(path): results[short(path)] for path in chosen}
    return summary(tried, tomllib.loads(REASONS.read_text()))


def summary(tried: dict, reasons: dict) -> int:
    verdicts = [how for entry in tried.values() for how in entry["mutants"].values()]
    dead = sum(how != "survived" for how in verdicts) / max(1, len(verdicts))
    print(f"{dead:.1%} of {len(verdicts)} mutants died (at least {LEAST_DEAD:.0%} must)")
    unexplained = list(without_reason(tried, reasons))
    for name in unexplained:
        print(f"survived, and tests/survivors.toml gives no reason: {name}")
    return 1 if dead < LEAST_DEAD or unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
