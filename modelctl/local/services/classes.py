"""What is a class of an app? The RPCs on classes, and on the variants that parameters make."""

from modal_proto import api_pb2

from modelctl.local.keeping.definitions import handle_metadata, parsed
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.state import State
from modelctl.local.keeping.variants import variant, variants_of
from modelctl.local.rpc import Refused, Status


class Classes:
    """The work is done by a class's service function; the class itself is no more than an id."""

    def __init__(self, state: State) -> None:
        self._state = state

    def class_create(self, request: api_pb2.ClassCreateRequest) -> api_pb2.ClassCreateResponse:
        self._state.app(request.app_id)
        response = api_pb2.ClassCreateResponse(class_id=request.existing_class_id or new_id("cs"))
        response.handle_metadata.SetInParent()
        return response

    def class_get(self, request: api_pb2.ClassGetRequest) -> api_pb2.ClassGetResponse:
        environment = self._state.environment(request.environment_name)
        app = self._state.deployed_app(environment.id, request.app_name)
        if app is None:
            raise Refused(
                Status.NOT_FOUND,
                f"App '{request.app_name}' not found in environment '{environment.name}'.",
            )
        class_id = app.class_ids.get(request.object_tag)
        if class_id is None:
            raise Refused(
                Status.NOT_FOUND, f"App '{request.app_name}' has no class '{request.object_tag}'."
            )
        response = api_pb2.ClassGetResponse(class_id=class_id)
        response.handle_metadata.SetInParent()
        return response

    def function_bind_params(
        self, request: api_pb2.FunctionBindParamsRequest
    ) -> api_pb2.FunctionBindParamsResponse:
        base = self._state.function(request.function_id)
        if base.definition_id not in self._state.definitions:
            raise Refused(Status.NOT_FOUND, f"Function '{base.name}' was never deployed.")
        options = b""
        if request.HasField("function_options"):
            options = request.function_options.SerializeToString(deterministic=True)
        bound = variant(self._state, base, request.serialized_params, options)
        data = parsed(self._state.definitions[bound.definition_id])
        return api_pb2.FunctionBindParamsResponse(
            bound_function_id=bound.id,
            handle_metadata=handle_metadata(bound, data, bound.definition_id, {}),
        )

    def function_list_variants(
        self, request: api_pb2.FunctionListVariantsRequest
    ) -> api_pb2.FunctionListVariantsResponse:
        """All of them at once, in the order in which they were first asked for."""
        base = self._state.function(request.function_id)
        response = api_pb2.FunctionListVariantsResponse()
        for bound in variants_of(self._state, {base.id})[: request.limit or None]:
            info = response.infos.add(function_id=bound.id, serialized_params=bound.params)
            if bound.options:
                info.function_options.ParseFromString(bound.options)
        return response
