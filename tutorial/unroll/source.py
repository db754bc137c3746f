"""Source text: of a class or function, the names that it needs, and how new text is laid out."""

import ast
import builtins
import inspect
import linecache
import re
import symtable
import sys
import sysconfig
import textwrap
import types
from collections.abc import Collection, Iterable, Iterator
from typing import Any

INSTALLED = tuple(
    {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)

WIDTH = 88  # columns; a call that is wider is broken into a line for each argument


def is_installed(thing: Any) -> bool:
    """Whether a fresh process can import it: a module, or a class or function from its module.

    `tutorial`'s own do not count.
    """
    name = thing.__name__ if isinstance(thing, types.ModuleType) else str(thing.__module__)
    local = "<locals>" in getattr(thing, "__qualname__", "")
    if local or name.partition(".")[0] in ("__main__", "tutorial"):
        return False
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    return module is not None and (file is None or file.startswith(INSTALLED))


def home(thing: Any) -> str | None:
    """The shortest path to import it from: torch.nn, not torch.nn.modules.linear."""
    parts = thing.__module__.split(".")
    paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
    found = (p for p in paths if getattr(sys.modules.get(p), thing.__name__, None) is thing)
    return next(found, None)


def source_of(thing: Any) -> str:
    """The source, as it was typed.

    Raises:
        OSError: there is none: the class or function was not read from a file or a notebook cell.
    """
    if not isinstance(thing, type):
        return textwrap.dedent(inspect.getsource(thing))
    # A class of a notebook has no file that `inspect` could find, but its methods have one; if it
    # has none, it is looked for in all cells, the newest first.
    cells = [(file, None) for file in reversed(linecache.cache) if "ipykernel" in file]
    for file, line in [*_methods(thing), *(cells if thing.__module__ == "__main__" else [])]:
        text = "".join(linecache.getlines(file))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                first = _top(node)
                assert node.end_lineno is not None
                if line is None or first <= line <= node.end_lineno:
                    lines = text.splitlines(keepends=True)[first - 1 : node.end_lineno]
                    return textwrap.dedent("".join(lines))
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except TypeError as error:  # what inspect says of a class typed at a prompt
        raise OSError(str(error)) from None


def _methods(cls: type) -> Iterator[tuple[str, int | None]]:
    """File and first line of each function in the class's body."""
    for member in vars(cls).values():
        code = getattr(inspect.unwrap(getattr(member, "__func__", member)), "__code__", None)
        if code is not None:
            yield code.co_filename, code.co_firstlineno


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
        names: what its names mean; those modules are taken out.

    Returns:
        The changed source, and what it now names instead.
    """
    parts: dict[str, Any] = {}
    for node in ast.walk(ast.parse(source)):
        dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        path = dotted.split(".")
        module = names.get(path[0])
        while isinstance(module, types.ModuleType) and not is_installed(module) and path[1:]:
            module, path = getattr(module, path[1], None), path[1:]
        inside = isinstance(module, types.ModuleType) and not is_installed(module)
        if module is not None and not inside and len(path) == 1 and dotted != path[0]:
            source = re.sub(rf"\b{re.escape(dotted)}\b", path[0], source)
            parts[path[0]] = module
    for name, value in list(names.items()):
        if isinstance(value, types.ModuleType) and not is_installed(value):
            del names[name]
    return source, parts


def _top(node: ast.stmt) -> int:
    """A statement's first line, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def constant_source(thing: Any, name: str) -> str | None:
    """The line `name = ...` of the module of a class or function, if its value stands there."""
    try:
        text = inspect.getsource(sys.modules[thing.__module__])
    except (KeyError, OSError, TypeError):
        return None
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            try:
                ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except ValueError:
                return None
            return ast.get_source_segment(text, node)
    return None


def outside_names(thing: Any, source: str) -> dict[str, Any]:
    """The names that the source uses and does not define, with what they mean to it."""
    scope = vars(sys.modules[thing.__module__]) if thing.__module__ in sys.modules else {}
    functions = [thing] if not isinstance(thing, type) else list(vars(thing).values())
    for function in functions:
        scope = {**scope, **getattr(function, "__globals__", {})}
        code = getattr(function, "__code__", None)
        if code is not None and function.__closure__:
            cells = zip(code.co_freevars, function.__closure__, strict=True)
            scope |= {name: cell.cell_contents for name, cell in cells}
    return {
        name: scope[name]
        for name in sorted(names_read(source) - {thing.__name__, "__class__"})
        if name in scope
        and not name.startswith("__")
        and scope[name] is not vars(builtins).get(name)
    }


def names_read(source: str) -> set[str]:
    """The names that a piece of source reads and does not assign."""
    return _read(symtable.symtable(source, "<source>", "exec"))


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
