"""Every route of a vendor's API, read from its SDK: the address, what the body has to be, and what is answered.

The SDKs are generated from the vendors' public specifications, so their resource classes are such a specification in
another notation: each method names its path, the type of its parameters and the type of its answer.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import Any, NamedTuple, Union, get_args, get_origin

import pydantic

__all__ = ["Route", "routes", "routes_of"]

_VERBS = {"_post": "POST", "_get": "GET", "_get_api_list": "GET", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE"}
_CONVENIENCES = ("parse", "stream", "connect", "create_and_", "upload_and_", "poll", "tool_runner", "wait")
"""Methods that add something of the SDK to another method's route; the other one says what the wire carries."""


class Route(NamedTuple):
    """One address of the API."""

    method: str
    path: str
    """Below the base address, with `{name}` where a caller puts something of its own."""
    beta: bool
    """Whether it belongs to the SDK's beta resources, which may share their address with the stable ones."""
    body: Any
    """The type of its JSON body; None where it takes none, or the SDK does not say."""
    answer: Any
    """The type of the whole answer; None where it is empty, `bytes` where it is no JSON."""
    event: Any
    """The type of one event of a streamed answer; None where it does not stream."""
    multipart: bool


def routes(sdk: str) -> list[Route]:
    """All routes of the installed package `sdk`. Where methods share one, the one that says most about it counts."""
    found: dict[tuple[str, str, bool], Route] = {}
    for module in _modules(f"{sdk}.resources"):
        for route in routes_of(module):
            key = (route.method, route.path, route.beta)
            if key not in found or _said(route) > _said(found[key]):
                found[key] = route
    return list(found.values())


def _said(route: Route) -> int:
    return sum(part is not None for part in (route.body, route.answer, route.event))


def _modules(package: str) -> Iterator[types.ModuleType]:
    root = importlib.import_module(package)
    for each in pkgutil.walk_packages(root.__path__, f"{package}."):
        yield importlib.import_module(each.name)


def routes_of(module: types.ModuleType) -> Iterator[Route]:
    """The routes of one module of resources."""
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.ClassDef) and _sync(statement):
            # the overloads come first, and say nothing of the wire
            methods = {each.name: each for each in statement.body if isinstance(each, ast.FunctionDef)}
            for name, method in methods.items():
                if not name.startswith(_CONVENIENCES):
                    yield from _of_method(method, module)


def _sync(statement: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] == "SyncAPIResource" for base in statement.bases)


def _of_method(method: ast.FunctionDef, module: types.ModuleType) -> Iterator[Route]:
    for call in ast.walk(method):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _VERBS):
            continue
        address = _address(call.args[0])
        if address is None or ast.unparse(call.func.value) != "self":
            continue
        path = address.partition("?")[0]
        named = {each.arg: each.value for each in call.keywords if each.arg}
        returned = _evaluated(method.returns, module)
        whole, event = _answers(returned)
        yield Route(
            _VERBS[call.func.attr],
            path,
            ".beta." in module.__name__,
            _body(named.get("body"), method.name, module),
            whole,
            event,
            "files" in named,
        )


def _address(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(path)):
            return path
        case ast.Call(func=ast.Name(id="path_template"), args=[ast.Constant(value=str(path)), *_]):
            return path
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{name}" for part in parts)
        case ast.IfExp(body=first):
            return _address(first)
    return None


def _body(node: ast.expr | None, method: str, module: types.ModuleType) -> Any:
    """The type that the body is made to fit, by the SDK's call or, where that passes a plain dict, by its names."""
    if node is None:
        return None
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("maybe_transform") and len(call.args) == 2:
            return _evaluated(call.args[1], module)
    *packages, resource = module.__name__.split(".")
    packages[1] = "types"
    while len(packages) > 1:
        for name in _parameters(".".join(packages)):
            subject = name.removesuffix(f"_{method}_params")
            if subject != name and resource.startswith(subject):
                params = importlib.import_module(f"{'.'.join(packages)}.{name}")
                sought = name.replace("_", "")
                return next(each for spelled, each in vars(params).items() if spelled.lower() == sought)
        packages.pop()
    return None


@functools.cache
def _parameters(package: str) -> tuple[str, ...]:
    """The modules of a package that hold the parameters of one method each; none where there is no such package."""
    try:
        found = importlib.import_module(package).__path__
    except ModuleNotFoundError:
        return ()
    return tuple(each.name for each in pkgutil.iter_modules(found) if each.name.endswith("_params"))


def _evaluated(node: ast.expr | None, module: types.ModuleType) -> Any:
    """The type that an expression of the SDK names; None where it depends on what is called."""
    match node:
        case None:
            return None
        case ast.IfExp(body=first, orelse=second):
            return Union[_evaluated(first, module), _evaluated(second, module)]  # noqa: UP007  the types are not known here
    try:
        return eval(ast.unparse(node), dict(vars(module)))  # noqa: S307  the SDK's own code, which runs anyway
    except (NameError, TypeError, AttributeError):
        return None


def _answers(returned: Any) -> tuple[Any, Any]:
    """The whole answer and the event of a streamed one, out of what a method says it returns."""
    whole: Any = None
    event: Any = None
    for kind in _alternatives(returned):
        name = getattr(get_origin(kind) or kind, "__name__", "")
        if name == "Stream":
            event = get_args(kind)[0]
        elif "Binary" in name or kind is bytes:
            whole = whole or bytes
        elif "Decoder" in name:
            whole = whole or kind
        elif whole is None and kind is not type(None):
            whole = kind
    return whole, event


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return (kind,)
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
