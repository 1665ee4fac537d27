"""What are a server's definition and settings? The RPCs on functions."""

from modal_proto import api_pb2

from modelctl.local.keeping.definitions import (
    digest,
    effective_settings,
    function_data,
    handle_metadata,
    parsed,
    with_urls,
)
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Definition, Function
from modelctl.local.keeping.state import State
from modelctl.local.rpc import Refused, Status
from modelctl.local.running.fleet import Fleet


class Functions:
    """The RPCs on functions; a server is a function whose definition says so."""

    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet

    # -- defining

    def function_precreate(
        self, request: api_pb2.FunctionPrecreateRequest
    ) -> api_pb2.FunctionPrecreateResponse:
        app = self._state.app(request.app_id)
        function = self._state.functions.get(request.existing_function_id)
        function = function or self._state.function_named(app.id, request.function_name)
        if function is None:
            function = Function(new_id("fu"), app.id, request.function_name)
            self._state.save(function)
        metadata = handle_metadata(function, None, "", self._fleet.urls(function))
        metadata.function_type = request.function_type
        metadata.function_schema.CopyFrom(request.function_schema)
        metadata.supported_input_formats.extend(request.supported_input_formats)
        metadata.supported_output_formats.extend(request.supported_output_formats)
        return api_pb2.FunctionPrecreateResponse(function_id=function.id, handle_metadata=metadata)

    async def function_create(
        self, request: api_pb2.FunctionCreateRequest
    ) -> api_pb2.FunctionCreateResponse:
        data = function_data(request)
        if data.http_config.port and not data.is_server:
            raise Refused(
                Status.UNIMPLEMENTED,
                "The local control plane serves what @app.server and @modal.web_server declare, "
                "not modal.experimental.http_server: use @app.server.",
            )
        if data.http_config.HasField("lift_and_shift_config"):
            raise Refused(
                Status.UNIMPLEMENTED,
                "The local control plane builds no images, so it cannot run what an image starts: "
                "instead of `modal server deploy`, write an @app.server that starts the command.",
            )
        app = self._state.app(request.app_id)
        name = data.ranked_functions[0].function.function_name
        function = self._state.functions.get(request.existing_function_id)
        function = function or self._state.function_named(app.id, name)
        if function is None:
            function = Function(new_id("fu"), app.id, name)
            self._state.save(function)
        hashed = digest(data)
        definition = self._state.definition_with(function.id, hashed)
        if definition is None:
            definition = Definition(new_id("de"), function.id, hashed, data.SerializeToString())
            self._state.save(definition)
        urls = await self._fleet.open(function, data)
        given = with_urls(data, urls)
        return api_pb2.FunctionCreateResponse(
            function_id=function.id,
            function=given.ranked_functions[0].function,
            function_data=given,
            handle_metadata=handle_metadata(function, data, definition.id, urls),
        )

    # -- reading

    def function_get(self, request: api_pb2.FunctionGetRequest) -> api_pb2.FunctionGetResponse:
        environment = self._state.environment(request.environment_name)
        app = self._state.deployed_app(environment.id, request.app_name)
        if app is None:
            raise Refused(
                Status.NOT_FOUND,
                f"App '{request.app_name}' not found in environment '{environment.name}'.",
            )
        if request.app_version not in (0, app.version):
            raise Refused(
                Status.UNIMPLEMENTED,
                "The local control plane runs the live version of an app only: version "
                f"{app.version} of '{request.app_name}', not {request.app_version}.",
            )
        function_id = app.function_ids.get(request.object_tag)
        if function_id is None:
            raise Refused(
                Status.NOT_FOUND,
                f"App '{request.app_name}' has no function or server '{request.object_tag}'.",
            )
        function = self._state.functions[function_id]
        metadata, given = self._given(function)
        return api_pb2.FunctionGetResponse(
            function_id=function.id, handle_metadata=metadata, function=given
        )

    def function_get_by_id(
        self, request: api_pb2.FunctionGetByIdRequest
    ) -> api_pb2.FunctionGetByIdResponse:
        metadata, given = self._given(self._state.function(request.function_id))
        return api_pb2.FunctionGetByIdResponse(function=given, handle_metadata=metadata)

    def _data(self, function: Function) -> api_pb2.FunctionData:
        definition = self._state.definitions.get(function.definition_id)
        if definition is None:
            raise Refused(Status.NOT_FOUND, f"Function '{function.name}' was never deployed.")
        return parsed(definition)

    def _given(
        self, function: Function
    ) -> tuple[api_pb2.FunctionHandleMetadata, api_pb2.FunctionData]:
        data = self._data(function)
        urls = self._fleet.urls(function)
        metadata = handle_metadata(function, data, function.definition_id, urls)
        given = with_urls(data, urls)
        given.autoscaler_settings.CopyFrom(effective_settings(data, function))
        return metadata, given

    # -- scaling

    def function_get_scheduling_params(
        self, request: api_pb2.FunctionGetSchedulingParamsRequest
    ) -> api_pb2.FunctionGetSchedulingParamsResponse:
        function = self._state.function(request.function_id)
        data = self._data(function)
        return api_pb2.FunctionGetSchedulingParamsResponse(
            autoscaler_configuration=api_pb2.AutoscalerConfiguration(
                settings=effective_settings(data, function),
                static_settings=data.autoscaler_settings,
                override_settings=api_pb2.AutoscalerSettings.FromString(function.overrides),
            )
        )

    def function_update_scheduling_params(
        self, request: api_pb2.FunctionUpdateSchedulingParamsRequest
    ) -> api_pb2.FunctionUpdateSchedulingParamsResponse:
        function = self._state.function(request.function_id)
        data = self._data(function)
        overrides = api_pb2.AutoscalerSettings.FromString(function.overrides)
        overrides.MergeFrom(request.settings)
        proposed = api_pb2.AutoscalerSettings()
        proposed.CopyFrom(data.autoscaler_settings)
        proposed.MergeFrom(overrides)
        limited = proposed.HasField("max_containers") and proposed.max_containers
        if limited and proposed.min_containers > proposed.max_containers:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"min_containers ({proposed.min_containers}) cannot be greater than "
                f"max_containers ({proposed.max_containers}).",
            )
        function.overrides = overrides.SerializeToString()
        self._state.save(function)
        if pool := self._fleet.pool(function.id):
            pool.reconcile()
        return api_pb2.FunctionUpdateSchedulingParamsResponse(current_settings=proposed)

    def flash_container_list(
        self, request: api_pb2.FlashContainerListRequest
    ) -> api_pb2.FlashContainerListResponse:
        pool = self._fleet.pool(self._state.function(request.function_id).id)
        response = api_pb2.FlashContainerListResponse()
        for container in pool.live() if pool else []:
            response.containers.add(task_id=container.id, host="127.0.0.1", port=container.port)
        return response
