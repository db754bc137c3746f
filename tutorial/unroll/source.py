"""Source text: of a class or function, the names that it needs, and how new text is laid out."""

import __future__

import ast
import builtins
import inspect
import linecache
import symtable
import sys
import sysconfig
import textwrap
import types
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

INSTALLED = tuple(
    {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)

WIDTH = 88  # columns; a call that is wider is broken into a line for each argument


class CannotWriteError(Exception):
    """There is no code for an object; the message says why."""


def is_installed(thing: Any) -> bool:
    """Whether a fresh process can import it: a module, or a class or function from its module.

    `tutorial`'s own do not count.
    """
    name = thing.__name__ if isinstance(thing, types.ModuleType) else str(thing.__module__)
    local = "<locals>" in getattr(thing, "__qualname__", "")
    top = name.partition(".")[0]
    if local or top in ("__main__", "tutorial"):
        return False
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return module is not None
    return file.startswith(INSTALLED) or is_of_a_package(top, file)


@lru_cache(maxsize=4096)
def is_of_a_package(top: str, file: str) -> bool:
    """Whether a file was installed: into a site-packages, or beside what pip notes of a package."""
    folders = Path(file).parts
    if top == "torch" or not {"site-packages", "dist-packages"}.isdisjoint(folders):
        return True
    if top not in folders[:-1] and folders[-1] != f"{top}.py":
        return False
    place = next(p for p in Path(file).parents if top not in p.parts)
    return any(_lists(record, top) for record in place.glob("*.dist-info/RECORD"))


def _lists(record: Path, top: str) -> bool:
    """Whether the list of a package's files has some of this module."""
    with record.open(encoding="utf-8") as lines:
        return any(line.startswith((f"{top}/", f"{top}.py")) for line in lines)


def home(thing: Any) -> str | None:
    """The shortest path to import it from: torch.nn, not torch.nn.modules.linear."""
    parts = thing.__module__.split(".")
    paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
    found = (p for p in paths if getattr(sys.modules.get(p), thing.__name__, None) is thing)
    return next(found, None)


# ---- the source of what runs


def source_of(thing: Any) -> str:
    """The source of a class or function, as it was typed; see `source_and_code`."""
    return source_and_code(thing)[0]


def source_and_code(thing: Any) -> tuple[str, types.CodeType | None]:
    """The source, as it was typed; and the code that is compiled from it, as its file has it.

    Raises:
        OSError: there is none: the class or function was not read from a file or a notebook cell.
        CannotWriteError: the file has changed since it was read.
    """
    if isinstance(thing, type):
        return source_of_class(thing)
    function = inspect.unwrap(thing)
    code = function.__code__
    text, found = present(code, thing.__name__)
    for node in ast.walk(parsed(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name == code.co_name and _top(node) == found.co_firstlineno:
            return _segment(text, node), found
    raise OSError(f"no source of {thing.__name__}")


def source_of_class(cls: type) -> tuple[str, types.CodeType | None]:
    """The source of a class: it stands around its methods; without any, where its name stands."""
    places: list[tuple[str, Any]] = []
    for name, code in methods(cls):
        text, found = present(code, f"{cls.__name__}.{name}")
        places.append((text, found.co_firstlineno))
    if not places:  # in a notebook, the newest cell with that name
        module = sys.modules.get(cls.__module__)
        cells = [file for file in reversed(linecache.cache) if "ipykernel" in file]
        files = cells if cls.__module__ == "__main__" else []
        places = [(text_of(file), None) for file in [*files, getattr(module, "__file__", None)]]
    for text, line in places:
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                first, last = _top(node), node.end_lineno or 0
                if line is None or first <= line <= last:
                    codes = [c for c in all_codes(text) if c.co_name == cls.__name__]
                    own = (c for c in codes if c.co_firstlineno in (first, node.lineno))
                    return _segment(text, node), next(own, None)
    raise OSError(f"no source of {cls.__name__}")


def registers_itself(value: Any) -> bool:
    """Whether other code is told of a class or function of the user's, such as by a decorator."""
    if not isinstance(value, type | types.FunctionType) or is_installed(value):
        return False
    try:
        node = ast.parse(source_of(value)).body[0]
    except (OSError, SyntaxError, CannotWriteError, IndexError):
        return False
    bases = value.__bases__ if isinstance(value, type) else ()
    decorated = bool(getattr(node, "decorator_list", []))
    return decorated or any("__init_subclass__" in vars(base) for base in bases)


def methods(cls: type) -> Iterator[tuple[str, types.CodeType]]:
    """The functions that were written in the class's body, by name: not what was set later."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            member = member.fget
        member = getattr(member, "__func__", getattr(member, "func", member))
        code = getattr(inspect.unwrap(member) if callable(member) else None, "__code__", None)
        own = f"{cls.__qualname__}.{name}"
        if code is not None and code.co_qualname == own and not code.co_filename.startswith("<str"):
            yield name, code


def present(code: types.CodeType, name: str) -> tuple[str, types.CodeType]:
    """The file's text as it is now, and the code in it that is this code.

    Raises:
        OSError: it was not read from a file or a notebook cell.
        CannotWriteError: the file has another code there now.
    """
    text = text_of(code.co_filename)
    if not text:
        raise OSError(f"no source of {name}")
    alike = [c for c in all_codes(text, code.co_flags & FUTURE) if c.co_name == code.co_name]
    same_line = [c for c in alike if c.co_firstlineno == code.co_firstlineno]
    if any("@pytest_ar" in read for read in names_in(code)):  # pytest has rewritten its asserts
        alike = same_line
    else:
        alike = [c for c in same_line + alike if instructions(c) == instructions(code)]
    if not alike:
        raise CannotWriteError(
            f"{Path(code.co_filename).name} has changed since {name} was read from it: "
            "import it again, or restart Python"
        )
    return text, alike[0]


FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


def text_of(file: str | None) -> str:
    """What a file or a notebook cell holds now."""
    if file is None:
        return ""
    linecache.checkcache(file)
    return "".join(linecache.getlines(file))


@lru_cache(maxsize=64)
def parsed(text: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(text)


@lru_cache(maxsize=64)
def all_codes(text: str, flags: int = 0) -> list[types.CodeType]:
    """The code of each class and function in a file."""
    return list(_nested(compile(text, "<file>", "exec", flags, dont_inherit=True)))


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _nested(const)


def names_in(code: types.CodeType) -> Iterator[str]:
    """All names that it and the code inside it read."""
    for part in _nested(code):
        yield from part.co_names


@lru_cache(maxsize=4096)
def instructions(code: types.CodeType) -> tuple[Any, ...]:
    """What code does, apart from where it stands: two functions are alike if this is equal."""
    consts = tuple(
        instructions(const) if isinstance(const, types.CodeType) else (type(const), repr(const))
        for const in code.co_consts
    )
    arguments = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, consts, arguments, names, code.co_exceptiontable)


def spellings_of(
    original: types.CodeType | None, source: str, name: str
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """What each code in a copied source does, with what that of the original does.

    A copy may be spelled otherwise: without the names of modules, without closures.
    """
    copied = compile(f"from __future__ import annotations\n{source}", "<copy>", "exec")
    written = next((c for c in _nested(copied) if c.co_name == name), None)
    if original is not None and written is not None:
        yield from _pairs(written, original)


def _pairs(
    written: types.CodeType, original: types.CodeType
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    yield instructions(written), instructions(original)
    inner = [
        [const for const in code.co_consts if isinstance(const, types.CodeType)]
        for code in (written, original)
    ]
    if len(inner[0]) == len(inner[1]):
        for pair in zip(*inner, strict=True):
            yield from _pairs(*pair)


def _segment(text: str, node: ast.stmt) -> str:
    """The lines of a class or function, its decorators included."""
    lines = text.splitlines(keepends=True)[_top(node) - 1 : node.end_lineno]
    return textwrap.dedent("".join(lines))


def without_docstrings(source: str) -> str:
    """The source less its docstrings, where a body says more than its docstring."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and len(node.body) > 1:
            first, second = node.body[:2]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                for i in range(first.lineno - 1, _top(second) - 1):
                    if i < (first.end_lineno or 0) or not lines[i].strip():
                        lines[i] = ""
    return "".join(lines)


def without_modules(source: str, names: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The source without the modules that a script cannot import: `f(x)` for `my_module.f(x)`.

    Args:
        source: the source of a class or function.
        names: what its names mean.

    Returns:
        The changed source, and what its names now mean.

    Raises:
        CannotWriteError: such a module is used in another way.
    """
    mine = {name: value for name, value in names.items() if is_own_module(value)}
    tree = ast.parse(source)
    parts: dict[str, Any] = {}
    places: dict[tuple[int, int], tuple[int, int, str]] = {}
    replaced: set[ast.AST] = set()

    def module(node: ast.AST) -> types.ModuleType | None:
        found: Any = None
        if isinstance(node, ast.Name):
            found = mine.get(node.id)
        elif isinstance(node, ast.Attribute) and (around := module(node.value)):
            found = getattr(around, node.attr, None)
        return found if is_own_module(found) else None

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (around := module(node.value)) and not module(node):
            if node.attr in names_bound(source):
                raise CannotWriteError(f"{ast.unparse(node)} is hidden by a variable {node.attr}")
            parts[node.attr] = getattr(around, node.attr)
            assert node.end_lineno is not None and node.end_col_offset is not None
            start = (node.lineno, node.col_offset)
            places[start] = (node.end_lineno, node.end_col_offset, node.attr)
            replaced |= {part for part in ast.walk(node) if isinstance(part, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in mine and node not in replaced:
            raise CannotWriteError(
                f"the module {node.id} is used as an object; name what it holds: {node.id}.f"
            )
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for (row, column), (last, end, name) in sorted(places.items(), reverse=True):
        lines[row - 1 : last] = [lines[row - 1][:column] + name.encode() + lines[last - 1][end:]]
    return b"".join(lines).decode(), {k: v for k, v in names.items() if k not in mine} | parts


def is_own_module(value: Any) -> bool:
    """Whether it is a module that a script cannot import."""
    return isinstance(value, types.ModuleType) and not is_installed(value)


def _top(node: ast.stmt) -> int:
    """A statement's first line, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def assignment(thing: Any, name: str, value: Any) -> tuple[str, str] | None:
    """The statement `name = ...` that a class or function sees, and its right side."""
    for module in modules_with(thing, name, value):
        text = text_of(getattr(module, "__file__", None))
        for node in parsed(text).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            right = getattr(node, "value", None)
            if right is None or isinstance(node, ast.AugAssign):
                continue
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                parts = [ast.get_source_segment(text, part) for part in (node, right)]
                return (parts[0], parts[1]) if parts[0] and parts[1] else None
    return None


def modules_with(thing: Any, name: str, value: Any) -> list[types.ModuleType]:
    """The module of a class or function, and those of the user's from which it may have a name."""
    own = sys.modules.get(thing.__module__)
    loaded = [m for m in list(sys.modules.values()) if isinstance(m, types.ModuleType)]
    others = [m for m in loaded if vars(m).get(name, thing) is value]
    return [m for m in dict.fromkeys([own, *others]) if m is not None and is_own_module(m)]


def constant_source(thing: Any, name: str, value: Any) -> tuple[str, Any] | None:
    """The line `name = ...` that a class or function sees, and the value that it gives."""
    line, right = assignment(thing, name, value) or ("", "")
    try:
        return (line, ast.literal_eval(right)) if line else None
    except (ValueError, TypeError, SyntaxError):
        return None


def innermost(function: Any) -> Any:
    """The function inside its decorators, a property, a classmethod."""
    function = getattr(function, "fget", None) or getattr(function, "__func__", function)
    return inspect.unwrap(function) if callable(function) else function


def outside_names(thing: Any, source: str) -> dict[str, Any]:
    """The names that the source uses and does not define, with what they mean to it."""
    scope = vars(sys.modules[thing.__module__]) if thing.__module__ in sys.modules else {}
    functions = [thing] if not isinstance(thing, type) else list(vars(thing).values())
    for function in map(innermost, functions):
        scope = {**scope, **getattr(function, "__globals__", {})}
        code = getattr(function, "__code__", None)
        if code is not None and function.__closure__:
            cells = zip(code.co_freevars, function.__closure__, strict=True)
            empty = types.CellType()
            scope |= {name: cell.cell_contents for name, cell in cells if cell != empty}
    return {
        name: scope[name]
        for name in sorted(names_read(source) - {thing.__name__, "__class__"})
        if name in scope
        and not name.startswith("__")
        and scope[name] is not vars(builtins).get(name)
    }


@lru_cache(maxsize=4096)
def names_read(source: str) -> frozenset[str]:
    """The names that a piece of source reads and does not assign."""
    return frozenset(_read(symtable.symtable(source, "<source>", "exec")))


@lru_cache(maxsize=4096)
def names_in_hints(source: str) -> frozenset[str]:
    """The names that a piece of source reads in type hints alone, which a script need not have."""
    return names_read(source) - names_read("from __future__ import annotations\n" + source)


@lru_cache(maxsize=4096)
def first_needs(source: str) -> list[str]:
    """The names that a piece of source needs at once: what stands in functions may come later."""
    found: dict[str, None] = {}

    def visit(node: ast.AST) -> None:
        parts: list[Any]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[node.id] = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.target, node.value]
        else:
            parts = [*ast.iter_child_nodes(node)]
        for part in parts:
            if part is not None:
                visit(part)

    visit(ast.parse(source))
    return list(found)


def names_bound(source: str) -> set[str]:
    """The names that a function in the source binds: arguments and variables."""

    def bound(table: symtable.SymbolTable) -> set[str]:
        inner = set().union(*(bound(child) for child in table.get_children()))
        if table.get_type() != "function":
            return inner
        return inner | {s.get_name() for s in table.get_symbols() if s.is_local()}

    return bound(symtable.symtable(source, "<source>", "exec"))


def names_assigned(source: str) -> set[str]:
    """The names that a piece of source assigns, defines or imports at its top level."""
    symbols = symtable.symtable(source, "<source>", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


def _read(table: symtable.SymbolTable) -> set[str]:
    top = table.get_type() == "module"
    here = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (not symbol.is_assigned() if top else symbol.is_global())
    }
    return here.union(*(_read(child) for child in table.get_children()))


# ---- layout


def merged(imports: Collection[str]) -> list[str]:
    """The lines in order, with one line for all that comes from one module."""
    whole = sorted({line for line in imports if line.startswith("import ")})
    parts: dict[str, set[str]] = {}
    for line in imports:
        if line.startswith("from "):
            module, _, name = line.removeprefix("from ").partition(" import ")
            parts.setdefault(module, set()).add(name)
    return [
        *whole,
        *(f"from {module} import {', '.join(sorted(parts[module]))}" for module in sorted(parts)),
    ]


def bracketed(start: str, items: Iterable[str], end: str) -> str:
    """A call or a list, on one line if that is short, else on a line for each item."""
    items = list(items)
    line = start + ", ".join(items) + end
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{start}\n" + "".join(textwrap.indent(item, "    ") + ",\n" for item in items) + end
