"""What a caller reads in the signatures of the rooms that others build on: types, not Any."""

import ast
import importlib
import inspect
import textwrap

import pytest


def functions_of(room):
    module = importlib.import_module(f"odelib.{room}")
    for name in module.__all__:
        public = getattr(module, name)
        if inspect.isfunction(public):
            yield name, public
        elif inspect.isclass(public):
            for key, member in vars(public).items():
                member = getattr(member, "fget", getattr(member, "__func__", member))
                if inspect.isfunction(member) and (not key.startswith("_") or key in ("__init__", "__call__")):
                    yield f"{name}.{key}", member


def annotations(function):
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    except (OSError, ValueError):  # what a dataclass wrote for itself has no source
        return
    if isinstance(node, ast.FunctionDef):
        named = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        yield from (part.annotation for part in named if part is not None and part.annotation is not None)
        if node.returns is not None:
            yield node.returns


@pytest.mark.parametrize("room", ["solvers", "layers", "models"])
def test_no_public_signature_says_any(room):
    seen, vague = 0, []
    for name, function in functions_of(room):
        for annotation in annotations(function):
            seen += 1
            if any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(annotation)):
                vague.append(f"{name}: {ast.unparse(annotation)}")
    assert seen > 30
    assert not vague
