"""How the parts of the kernel are compiled: once, as a whole, and not each on its own and again in all that call it.

numba makes every function a library of its own, optimises it with all that it calls, and turns that into machine code;
where functions call one another over many steps, most of that is done many times and thrown away. A part made here is
typed and lowered, and left at that: what calls it takes it in as it is, and the entry at the end of the chain is
optimised and cached with everything it needs.

This leans on numba's inside (``CompilerBase`` is its public way to change how a function is compiled; the library class
is not), which is why numba's version is pinned and tests compile the kernel from nothing.
"""

from collections.abc import Iterator
from typing import Any

import llvmlite.binding
from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

_llvm: Any = llvmlite.binding
_Library: Any = JITCodeLibrary
_Compiler: Any = Compiler
_njit: Any = njit
_types: Any = types


class _NoEngine:
    """A part has no machine code of its own, hence no place in it where its environment would be."""

    @staticmethod
    def set_env(env_name: str, env: object) -> None:
        """Nothing to set."""


class _PartLibrary(_Library):  # type: ignore[misc] # numba carries no types
    """A library that stays in LLVM's language until an entry takes it in, with all that it calls."""

    _inlining = "noinline"
    _shared_module: Any

    @property
    def codegen(self) -> _NoEngine:
        return _NoEngine()

    def add_llvm_module(self, module: Any) -> None:
        for function in module.functions:
            if not function.is_declaration:
                function.add_function_attribute(self._inlining)
        super().add_llvm_module(module)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Nothing is linked and nothing optimised before an entry is."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """The part and all that it calls, once."""
        if not self._shared_module:
            whole = self._final_module.clone()
            for library in self._called({self}):
                is_part = isinstance(library, _PartLibrary)
                whole.link_in(library._final_module if is_part else library._get_module_for_linking(), preserve=True)
            for name in [each.name for each in whole.functions if _is_exported(each)]:
                whole.get_function(name).linkage = "linkonce_odr"
            self._shared_module = whole
        return self._shared_module

    def _called(self, seen: set[Any]) -> Iterator[Any]:
        for library in self._linking_libraries:
            if library not in seen:
                seen.add(library)
                yield library
                if isinstance(library, _PartLibrary):
                    yield from library._called(seen)

    def get_pointer_to_function(self, name: str) -> int:
        """0: there is none."""
        return 0


def _is_exported(function: Any) -> bool:
    return not function.is_declaration and function.linkage == _llvm.Linkage.external


class _InnerPartLibrary(_PartLibrary):
    _inlining = "alwaysinline"


_UNNEEDED = {
    *("with_lifting", "inline_closure_likes", "find_literally", "literal_unroll", "inline_inlinables"),
    *("make_function_op_code_to_jit_function", "inline_overloads", "nopython_rewrites", "dump_parfor_diagnostics"),
}
"""Passes for what no part has: comprehensions, closures, literal arguments, expressions over whole arrays."""


class _PartCompiler(_Compiler):  # type: ignore[misc] # numba carries no types
    _library = _PartLibrary

    def define_pipelines(self) -> list[Any]:
        pipelines: list[Any] = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [each for each in pipeline.passes if each[0].name() not in _UNNEEDED]
        return pipelines

    def compile_extra(self, function: Any) -> Any:
        self.state.library = self._library(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)


class _InnerPartCompiler(_PartCompiler):
    _library = _InnerPartLibrary


_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_part = _njit(pipeline_class=_PartCompiler, **_OPTIONS)
_inner_part = _njit(pipeline_class=_InnerPartCompiler, **_OPTIONS)

entry: Any = _njit(cache=True, error_model="numpy")
"""A function that Python calls; it is cached, with the parts that it needs."""


def compiled(function: Any) -> Any:
    """A part, compiled once: numba would do so anew for every width of integer and every constant it is called with."""
    return _for_one_width(_part(function))


def inlined(function: Any) -> Any:
    """A part that is small, or called from one place: it becomes part of what calls it."""
    return _for_one_width(_inner_part(function))


def _for_one_width(part: Any) -> Any:
    templates = part.get_call_template
    part.get_call_template = lambda args, kws: templates(tuple(map(_widened, args)), kws)
    return part


def _widened(kind: Any) -> Any:
    kind = _types.unliteral(kind)
    return _types.int64 if isinstance(kind, _types.Integer) else kind
