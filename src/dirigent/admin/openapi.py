"""The description of the control plane in OpenAPI 3.1, written from the operations' own structs and docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import msgspec.inspect as shape

from dirigent import __version__
from dirigent.admin.faults import Fault
from dirigent.admin.orders import lists_of
from dirigent.control.operation import Operation
from dirigent.control.permissions import roles_of
from dirigent.core.schema import field_help

__all__ = ["ROOT", "Fixed", "described", "path_of"]

ROOT = "/api/v1"
_REFERENCE = "#/components/schemas/{name}"
_SECURITY: list[dict[str, list[str]]] = [{"operator": []}, {"session": []}]
_TOKEN = {
    "name": "x-csrf-token",
    "in": "header",
    "required": False,
    "description": "With a session's cookie: the token that the session was opened with.",
    "schema": {"type": "string"},
}
_TENANT = {
    "name": "x-dirigent-tenant",
    "in": "header",
    "required": False,
    "description": "With the operator's key: the tenant to work in.",
    "schema": {"type": "string", "default": "default"},
}
_NO_WAY = {
    "400": "The order is at fault.",
    "401": "Nobody knows who asks.",
    "403": "Whoever asks may not.",
    "404": "There is nothing of that name or id.",
    "409": "What is there already stands in the way.",
    "413": "The body is too large.",
    "414": "The query is longer than a connection takes.",
    "415": "The body is not JSON.",
    "422": "The configuration is refused.",
    "429": "Too many attempts.",
    "502": "What stands behind us failed.",
    "503": "The database does not answer.",
}


class Fixed(msgspec.Struct, frozen=True):
    """A path of the interface that is no operation: signing in, or what happens live."""

    method: str
    path: str
    summary: str
    outcome: type[msgspec.Struct] | None = None
    order: type[msgspec.Struct] | None = None
    query: tuple[str, ...] = ()
    open: bool = False
    status: int = 200
    media: str = "application/json"


def path_of(operation: Operation[Any, Any]) -> str:
    """Where an operation is asked for: its name, with slashes."""
    return f"{ROOT}/{operation.name.replace('.', '/')}"


def described(operations: Mapping[str, Operation[Any, Any]], fixed: Iterable[Fixed]) -> dict[str, Any]:
    """The whole description."""
    fixed = tuple(fixed)
    structs: set[type[msgspec.Struct]] = {Fault}
    for operation in operations.values():
        structs |= {operation.order, operation.outcome}
    for each in fixed:
        structs |= {struct for struct in (each.order, each.outcome) if struct is not None}
    schemas, names = _schemas(structs)
    paths: dict[str, Any] = {}
    for operation in operations.values():
        paths[path_of(operation)] = {
            "post" if operation.changes else "get": _operation(operation, schemas, names),
        }
    for each in fixed:
        paths.setdefault(each.path, {})[each.method.lower()] = _fixed(each, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dirigent: the control plane",
            "version": __version__,
            "description": "Every operation asks for a permission, is audited and happens as a whole or not at all.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": part} for part in sorted({name.partition(".")[0] for name in operations})],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key in the file `operator-key` of the node's data folder.",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": "dirigent_session"},
            },
        },
    }


def _operation(operation: Operation[Any, Any], schemas: Mapping[str, Any], names: Mapping[type, str]) -> dict[str, Any]:
    roles = roles_of(operation.permission)
    whose = f"Roles: {', '.join(roles)}." if roles else "With the operator's key alone."
    said: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.name.partition(".")[0]],
        "summary": operation.summary,
        "description": f"{operation.help}\n\nPermission: `{operation.permission}`. {whose}",
        "security": _SECURITY,
        "parameters": [_TENANT],
        "responses": _responses("200", names[operation.outcome], names),
    }
    if operation.changes:
        said["parameters"] = [_TENANT, _TOKEN]
        said["requestBody"] = {"required": True, "content": _content(names[operation.order])}
    else:
        said["parameters"] = [*_parameters(operation.order, schemas[names[operation.order]]), _TENANT]
    return said


def _fixed(each: Fixed, names: Mapping[type, str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": f"{each.path.removeprefix(f'{ROOT}/').replace('/', '.')}.{each.method.lower()}",
        "tags": ["access"],
        "summary": each.summary,
        "security": [] if each.open else _SECURITY,
        "responses": _responses(str(each.status), names[each.outcome] if each.outcome is not None else None, names),
    }
    if each.media != "application/json":
        said["responses"][str(each.status)]["content"] = {each.media: {"schema": {"type": "string"}}}
    if each.query:
        said["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in each.query
        ]
    if each.order is not None:
        said["requestBody"] = {"required": True, "content": _content(names[each.order])}
    return said


def _responses(status: str, outcome: str | None, names: Mapping[type, str]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if outcome is not None:
        done["content"] = _content(outcome)
    fault = _content(names[Fault])
    return {status: done} | {code: {"description": words, "content": fault} for code, words in _NO_WAY.items()}


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(name=name)}}}


def _parameters(order: type[msgspec.Struct], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    found = []
    for name, property_ in schema["properties"].items():
        written = {key: value for key, value in property_.items() if key != "description"}
        options = [option for option in written.pop("anyOf", ()) if option != {"type": "null"}]
        if len(options) == 1:
            written |= options[0]
        elif options:
            written["anyOf"] = options
        if written.get("default", 0) is None:
            del written["default"]  # what does not stand there is nothing; a query has no other word for it
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": written,
                **({"description": property_["description"]} if "description" in property_ else {}),
                **({"style": "form", "explode": True} if name in lists_of(order) else {}),
            }
        )
    return found


def _schemas(structs: Iterable[type[msgspec.Struct]]) -> tuple[dict[str, Any], dict[type, str]]:
    """The schemas of these structs and of all that they mention, with the help of each field; and their names."""
    ordered = sorted(structs, key=lambda struct: (struct.__name__, struct.__module__))
    references, schemas = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    prefix = _REFERENCE.format(name="")
    names: dict[type, str] = {
        struct: reference["$ref"].removeprefix(prefix) for struct, reference in zip(ordered, references, strict=True)
    }
    for struct, name in _mentioned(ordered, names, schemas).items():
        schema = schemas[name]
        helps = field_help(struct)
        for field in msgspec.structs.fields(struct):
            if field.name in helps and "properties" in schema:
                property_ = schema["properties"][field.encode_name]
                property_["description"] = " ".join(helps[field.name].split())
        if schema.get("description", "").startswith(f"{struct.__name__}("):
            del schema["description"]
    return schemas, names


def _mentioned(
    structs: Iterable[type[msgspec.Struct]], names: Mapping[type, str], schemas: Mapping[str, Any]
) -> dict[type[msgspec.Struct], str]:
    """These structs and those in their fields, each with the name of its schema."""
    found: dict[type[msgspec.Struct], str] = {}
    waiting: list[Any] = [shape.type_info(struct) for struct in structs]
    while waiting:
        type_ = waiting.pop()
        if isinstance(type_, shape.StructType):
            full = f"{type_.cls.__module__}.{type_.cls.__qualname__}"
            name = names.get(type_.cls) or (full if full in schemas else type_.cls.__name__)
            if type_.cls in found or name not in schemas:
                continue
            found[type_.cls] = name
            waiting += [field.type for field in type_.fields]
        for attribute in ("types", "item_types"):
            waiting += getattr(type_, attribute, ())
        for attribute in ("item_type", "key_type", "value_type"):
            if (inner := getattr(type_, attribute, None)) is not None:
                waiting.append(inner)
    return found
