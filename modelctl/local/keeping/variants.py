"""What runs for a class with parameters, or a function with options of its own?

Each combination is a function by itself: its definition is made from the base's, anew whenever that
one changes.
"""

import hashlib

from modal_proto import api_pb2

from modelctl.local.keeping.definitions import digest, parsed, with_options
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Definition, Function
from modelctl.local.keeping.state import State


def variant(state: State, base: Function, params: bytes, options: bytes) -> Function:
    """The variant of a function with these parameters and options; the same one each time."""
    seed = hashlib.sha256(len(params).to_bytes(8) + params + options).hexdigest()[:16]
    name = f"{base.name}#{seed}"
    function = state.function_named(base.app_id, name)
    if function is None:
        function = Function(new_id("fu"), base.app_id, name, base_id=base.id)
        function.params, function.options = params, options
    follow_base(state, function)
    return function


def variants_of(state: State, base_ids: set[str]) -> list[Function]:
    return [function for function in state.functions.values() if function.base_id in base_ids]


def follow_base(state: State, function: Function) -> None:
    """Gives a variant the definition that follows from what its base is now."""
    base = state.functions[function.base_id]
    data = parsed(state.definitions[base.definition_id])
    if function.options:
        data = with_options(data, api_pb2.FunctionOptions.FromString(function.options))
    # The base's definition is named, so that a new version replaces containers of this one too.
    hashed = f"{digest(data)}/{base.definition_id}"
    definition = state.definition_with(function.id, hashed)
    if definition is None:
        definition = Definition(new_id("de"), function.id, hashed, data.SerializeToString())
        state.save(definition)
    function.definition_id, function.epoch = definition.id, base.epoch
    state.save(function)
