"""Which apps are there, in which version? Publishing, rolling back, stopping, listing, tagging."""

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.definitions import handle_metadata, parsed
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.journal import Journal
from modelctl.local.keeping.records import App, Function, Version
from modelctl.local.keeping.state import State
from modelctl.local.keeping.variants import follow_base, variants_of
from modelctl.local.once import keep
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Caller, Refused, Status
from modelctl.local.running.fleet import RUN_BY_CLIENT, Fleet
from modelctl.local.services.creation import ONLY_EXISTING
from modelctl.local.services.ephemeral import Ephemeral

WHO = "local"
_DEPLOYED = api_pb2.APP_STATE_DEPLOYED
_STOPPED = api_pb2.APP_STATE_STOPPED
_LISTED_AFTER_STOP = 3600.0  # seconds

Layout = tuple[dict[str, str], dict[str, str], dict[str, str]]
"""The ids of functions and of classes by name, and of definitions by function id."""


class Apps:
    """The RPCs on apps."""

    def __init__(self, state: State, fleet: Fleet, journal: Journal, clock: Clock) -> None:
        self._state = state
        self._fleet = fleet
        self._journal = journal
        self._clock = clock
        self._ephemeral = Ephemeral(state, fleet, clock, self._end)

    def begin(self) -> None:
        """Call it once the fleet is restored."""
        self._ephemeral.begin()

    # -- finding

    def app_get_by_deployment_name(
        self, request: api_pb2.AppGetByDeploymentNameRequest
    ) -> api_pb2.AppGetByDeploymentNameResponse:
        environment = self._state.environment(request.environment_name)
        response = api_pb2.AppGetByDeploymentNameResponse(environment_name=environment.name)
        if app := self._state.deployed_app(environment.id, request.name):
            response.app_id = app.id
            response.lifecycle.CopyFrom(lifecycle(app))
        elif app := self._state.stopped_app(environment.id, request.name):
            response.previous_app_id = app.id
            response.lifecycle.CopyFrom(lifecycle(app))
        return response

    def app_lookup(self, request: api_pb2.AppLookupRequest) -> api_pb2.AppLookupResponse:
        return api_pb2.AppLookupResponse(
            app_id=self._named(request.environment_name, request.app_name).id
        )

    def app_get_or_create(
        self, request: api_pb2.AppGetOrCreateRequest
    ) -> api_pb2.AppGetOrCreateResponse:
        app = self._state.apps.get(request.app_name)
        if app is None and request.object_creation_type == ONLY_EXISTING:
            app = self._named(request.environment_name, request.app_name)
        if app is None:
            environment = self._state.environment(request.environment_name).id
            app = self._state.deployed_app(environment, request.app_name)
            if app is None:
                now = self._clock.time()
                name = request.app_name
                app = App(new_id("ap"), environment, name, _DEPLOYED, now, name, deployed_at=now)
                self._state.save(app)
        return api_pb2.AppGetOrCreateResponse(app_id=app.id, handle_metadata=self._metadata(app))

    def _named(self, environment_name: str, name: str) -> App:
        environment = self._state.environment(environment_name)
        if app := self._state.deployed_app(environment.id, name):
            return app
        raise Refused(
            Status.NOT_FOUND, f"App '{name}' not found in environment '{environment.name}'."
        )

    def app_get_lifecycle(
        self, request: api_pb2.AppGetLifecycleRequest
    ) -> api_pb2.AppGetLifecycleResponse:
        return api_pb2.AppGetLifecycleResponse(lifecycle=lifecycle(self._state.app(request.app_id)))

    def app_list(self, request: api_pb2.AppListRequest) -> api_pb2.AppListResponse:
        environment = self._state.environment(request.environment_name).id
        response = api_pb2.AppListResponse()
        for app in self._state.apps.values():
            long_gone = app.stopped_at and app.stopped_at < self._clock.time() - _LISTED_AFTER_STOP
            if app.environment == environment and not long_gone:
                response.apps.add(
                    app_id=app.id,
                    name=app.name,
                    description=app.description,
                    state=api_pb2.AppState.ValueType(app.state),
                    created_at=app.created_at,
                    stopped_at=app.stopped_at,
                    n_running_tasks=sum(len(p.running()) for p in self._fleet.pools(app.id)),
                    metadata=self._metadata(app),
                )
        return response

    def app_get_info(self, request: api_pb2.AppGetInfoRequest) -> api_pb2.AppGetInfoResponse:
        app = self._state.app(request.app_id)
        response = api_pb2.AppGetInfoResponse(info=self._metadata(app))
        for name, function in self._functions(app).items():
            data = parsed(self._state.definitions[function.definition_id])
            summary = response.function_info_summaries[name]
            summary.is_sessioned = data.is_sessioned
            summary.requires_proxy_auth = (
                not data.http_config.unauthenticated
                if data.is_server
                else data.webhook_config.requires_proxy_auth
            )
            for ranked in data.ranked_functions:
                if ranked.function.resources.gpu_config.count:
                    summary.gpu_config.add().CopyFrom(ranked.function.resources.gpu_config)
        return response

    def _metadata(self, app: App) -> api_pb2.AppHandleMetadata:
        metadata = api_pb2.AppHandleMetadata(
            app_id=app.id,
            description=app.description,
            environment_name=self._state.environment_name(app.environment),
            lifecycle=lifecycle(app),
        )
        for name, function in self._functions(app).items():
            is_server = parsed(self._state.definitions[function.definition_id]).is_server
            (metadata.servers if is_server else metadata.functions)[name] = function.id
        return metadata

    def _functions(self, app: App) -> dict[str, Function]:
        """Those of its layout by name, without any that an earlier version left undefined."""
        named = {name: self._state.functions.get(id_) for name, id_ in app.function_ids.items()}
        return {
            name: function
            for name, function in named.items()
            if function is not None and function.definition_id in self._state.definitions
        }

    def app_get_layout(self, request: api_pb2.AppGetLayoutRequest) -> api_pb2.AppGetLayoutResponse:
        app = self._state.app(request.app_id)
        layout = api_pb2.AppLayout(function_ids=app.function_ids, class_ids=app.class_ids)
        for function in self._functions(app).values():
            definition = self._state.definitions[function.definition_id]
            layout.objects.add(
                object_id=function.id,
                function_handle_metadata=handle_metadata(
                    function, parsed(definition), definition.id, self._fleet.urls(function)
                ),
            )
        return api_pb2.AppGetLayoutResponse(app_layout=layout)

    # -- making and publishing

    def app_create(self, request: api_pb2.AppCreateRequest) -> api_pb2.AppCreateResponse:
        environment = self._state.environment(request.environment_name).id
        now = self._clock.time()
        app = App(new_id("ap"), environment, request.description, request.app_state, now)
        app.tags = dict(request.tags)
        self._state.save(app)
        self._ephemeral.heartbeat(app)
        page = f"https://modal.com/apps/{app.id}"
        return api_pb2.AppCreateResponse(app_id=app.id, app_page_url=page, app_logs_url=page)

    def app_heartbeat(self, request: api_pb2.AppHeartbeatRequest) -> Empty:
        self._ephemeral.heartbeat(self._state.app(request.app_id))
        return Empty()

    async def app_publish(
        self, request: api_pb2.AppPublishRequest, caller: Caller
    ) -> api_pb2.AppPublishResponse:
        if request.staged:
            raise Refused(
                Status.UNIMPLEMENTED, "The local control plane does not serve staged deployments."
            )
        app = self._state.app(request.app_id)
        holder = self._state.deployed_app(app.environment, request.name)
        if holder is not None and holder is not app:
            raise Refused(
                Status.ALREADY_EXISTS, f"App '{request.name}' was deployed by somebody else."
            )
        url = f"https://modal.com/apps/{app.id}"
        layout = (
            dict(request.function_ids),
            dict(request.class_ids),
            dict(request.definition_ids),
        )
        unchanged = (
            app.version > 0
            and layout == (app.function_ids, app.class_ids, app.definition_ids)
            and dict(request.tags) == app.tags
            and not request.deployment_tag
        )
        if unchanged:  # See assumptions.
            return api_pb2.AppPublishResponse(url=url, deployed_at=0.0)
        self._check(app, layout)
        if app.state not in RUN_BY_CLIENT:
            app.name = app.description = request.name
            app.state = _DEPLOYED
        app.tags = dict(request.tags)
        version = self._advance(app, layout, caller)
        version.tag = request.deployment_tag
        version.commit = request.commit_info.SerializeToString()
        self._state.save(app, version)
        answer = api_pb2.AppPublishResponse(url=url, deployed_at=app.deployed_at)
        keep(answer)
        await self._fleet.publish(app)
        return answer

    def _check(self, app: App, layout: Layout) -> None:
        """Refuses a layout that names what is not there, before anything of the app is changed."""
        function_ids, class_ids, definition_ids = layout
        for function_id in (*function_ids.values(), *definition_ids):
            function = self._state.function(function_id)
            if function.app_id != app.id:
                raise Refused(
                    Status.INVALID_ARGUMENT,
                    f"Function '{function.name}' ({function_id}) belongs to another app.",
                )
            definition_id = definition_ids.get(function_id, function.definition_id)
            definition = self._state.definitions.get(definition_id)
            if not definition_id:
                raise Refused(
                    Status.INVALID_ARGUMENT,
                    f"Function '{function.name}' has no definition: it was announced, "
                    "and never created.",
                )
            if definition is None or definition.function_id != function_id:
                raise Refused(
                    Status.NOT_FOUND,
                    f"Function '{function.name}' has no definition with id '{definition_id}'.",
                )
        for name, class_id in class_ids.items():
            if not class_id.startswith("cs-"):
                raise Refused(
                    Status.INVALID_ARGUMENT, f"Class '{name}' has no class id: '{class_id}'."
                )

    def _advance(self, app: App, layout: Layout, caller: Caller) -> Version:
        """The app's next version, with live scaling changes forgotten as Modal does."""
        self._check(app, layout)
        app.function_ids, app.class_ids, app.definition_ids = layout
        app.version += 1
        app.deployed_at = self._clock.time()
        for function_id, definition_id in app.definition_ids.items():
            function = self._state.function(function_id)
            function.definition_id = definition_id
            function.overrides = b""
            self._state.save(function)
        for function in variants_of(self._state, set(app.function_ids.values())):
            follow_base(self._state, function)
        version = Version(
            f"{app.id}/{app.version}",
            app.id,
            app.version,
            app.deployed_at,
            caller.client_version,
            dict(app.function_ids),
            dict(app.class_ids),
            dict(app.definition_ids),
        )
        self._state.save(app, version)
        return version

    def app_client_disconnect(self, request: api_pb2.AppClientDisconnectRequest) -> Empty:
        """A deploy that failed ends an app that was never published, and no other deployed one."""
        app = self._state.app(request.app_id)
        self._ephemeral.disconnected(app, request.reason)
        if not app.version and not app.stopped_at:
            self._end(app)
        return Empty()

    # -- versions

    def app_deployment_history(
        self, request: api_pb2.AppDeploymentHistoryRequest
    ) -> api_pb2.AppDeploymentHistoryResponse:
        app = self._state.app(request.app_id)
        response = api_pb2.AppDeploymentHistoryResponse(production_app_version=app.version)
        for version in reversed(self._state.app_versions(app.id)):
            entry = response.app_deployment_histories.add(
                app_id=app.id,
                version=version.number,
                client_version=version.client_version,
                deployed_at=version.deployed_at,
                deployed_by=WHO,
                tag=version.tag,
                rollback_version=version.rollback_of,
                rollback_allowed=version.number != app.version,
            )
            if version.commit:
                entry.commit_info.ParseFromString(version.commit)
        return response

    async def app_rollback(
        self, request: api_pb2.AppRollbackRequest, caller: Caller
    ) -> api_pb2.AppRollbackResponse:
        app = self._deployed(request.app_id)
        number = app.version - 1 if request.version == -1 else request.version
        back_to = self._state.versions.get(f"{app.id}/{number}")
        if back_to is None:
            raise Refused(Status.NOT_FOUND, f"App '{app.name}' has no version {number}.")
        layout = (back_to.function_ids, back_to.class_ids, back_to.definition_ids)
        version = self._advance(app, layout, caller)
        version.rollback_of = number
        self._state.save(version)
        answer = api_pb2.AppRollbackResponse(
            url=f"https://modal.com/apps/{app.id}", deployed_at=app.deployed_at
        )
        keep(answer)
        await self._fleet.publish(app)
        return answer

    async def app_rollover(
        self, request: api_pb2.AppRolloverRequest, caller: Caller
    ) -> api_pb2.AppRolloverResponse:
        app = self._deployed(request.app_id)
        self._advance(app, (app.function_ids, app.class_ids, app.definition_ids), caller)
        for function_id in app.function_ids.values():
            function = self._state.functions[function_id]
            function.epoch += 1
            self._state.save(function)
        for function in variants_of(self._state, set(app.function_ids.values())):
            follow_base(self._state, function)
        answer = api_pb2.AppRolloverResponse(
            url=f"https://modal.com/apps/{app.id}", deployed_at=app.deployed_at
        )
        keep(answer)
        await self._fleet.publish(app)
        return answer

    def _deployed(self, app_id: str) -> App:
        app = self._state.app(app_id)
        if app.state != _DEPLOYED:
            raise Refused(Status.FAILED_PRECONDITION, f"App '{app.description}' is not deployed.")
        return app

    def app_stop(self, request: api_pb2.AppStopRequest) -> Empty:
        app = self._state.app(request.app_id)
        if not app.stopped_at:
            app.stopped_by = WHO
            self._end(app)
        return Empty()

    def _end(self, app: App) -> None:
        app.state = _STOPPED
        app.stopped_at = self._clock.time()
        self._state.save(app)
        self._fleet.withdraw(app)
        self._journal.wake(app.id)

    # -- tags

    def app_get_tags(self, request: api_pb2.AppGetTagsRequest) -> api_pb2.AppGetTagsResponse:
        return api_pb2.AppGetTagsResponse(tags=self._state.app(request.app_id).tags)

    def app_set_tags(self, request: api_pb2.AppSetTagsRequest) -> Empty:
        app = self._state.app(request.app_id)
        app.tags = dict(request.tags)
        self._state.save(app)
        return Empty()


def lifecycle(app: App) -> api_pb2.AppLifecycle:
    return api_pb2.AppLifecycle(
        app_state=api_pb2.AppState.ValueType(app.state),
        created_at=app.created_at,
        created_by=WHO,
        deployed_at=app.deployed_at,
        deployed_by=WHO if app.deployed_at else "",
        version=app.version,
        stopped_at=app.stopped_at,
        stopped_by=app.stopped_by,
    )
