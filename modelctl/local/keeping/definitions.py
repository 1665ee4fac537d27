"""What was a function or server defined as? Its proto, its digest, and what clients see of it."""

from collections.abc import Mapping
from functools import lru_cache

from modal_proto import api_pb2

from modelctl.local.keeping.records import Definition, Function
from modelctl.local.protobuf import digest_of

_VARIANT_FIELDS = {
    "timeout_secs",
    "max_concurrent_inputs",
    "target_concurrent_inputs",
    "batch_max_size",
    "batch_linger_ms",
}
FUNCTION_TYPE = api_pb2.Function.FUNCTION_TYPE_FUNCTION


def function_data(request: api_pb2.FunctionCreateRequest) -> api_pb2.FunctionData:
    """The definition in one form: with a fallback list of GPUs or without, ranked functions."""
    data = api_pb2.FunctionData()
    if request.HasField("function_data") and request.function_data.ranked_functions:
        data.CopyFrom(request.function_data)
    else:
        shared = {field.name for field in api_pb2.FunctionData.DESCRIPTOR.fields}
        for field, value in request.function.ListFields():
            if field.name not in shared:
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                getattr(data, field.name).MergeFrom(value)
            elif field.is_repeated:
                getattr(data, field.name).extend(value)
            elif field.message_type is not None:
                getattr(data, field.name).CopyFrom(value)
            else:
                setattr(data, field.name, value)
        data.ranked_functions.add(rank=0).function.CopyFrom(request.function)
    for ranked in data.ranked_functions:
        # The SDK sends a set in no particular order.
        mounts = sorted(ranked.function.mount_ids)
        del ranked.function.mount_ids[:]
        ranked.function.mount_ids.extend(mounts)
    return data


def digest(data: api_pb2.FunctionData) -> str:
    return digest_of(data)


@lru_cache(maxsize=512)
def _parsed(data: bytes) -> api_pb2.FunctionData:
    message = api_pb2.FunctionData()
    message.ParseFromString(data)
    return message


def parsed(definition: Definition) -> api_pb2.FunctionData:
    """The definition's proto; shared, so not to be changed."""
    return _parsed(definition.data)


def web_endpoints(data: api_pb2.FunctionData) -> dict[str, api_pb2.WebhookConfig]:
    """What answers HTTP requests as a web function, by method; a function's own one is ``""``."""
    found = {}
    if data.webhook_config.type:
        found[""] = data.webhook_config
    for name, method in data.method_definitions.items():
        if method.webhook_config.type:
            found[name] = method.webhook_config
    return found


def with_urls(data: api_pb2.FunctionData, urls: Mapping[str, str]) -> api_pb2.FunctionData:
    """The definition as Modal gives it out: with the URLs of what answers at one, by method."""
    given = api_pb2.FunctionData()
    given.CopyFrom(data)
    own = urls.get("", "")
    if own and data.is_server:
        given.flash_service_urls.append(own)
        for ranked in given.ranked_functions:
            ranked.function.flash_service_urls.append(own)
    elif own:
        given.web_url = own
        for ranked in given.ranked_functions:
            ranked.function.web_url = own
    for name, method in given.method_definitions.items():
        method.web_url = urls.get(name, "")
        for ranked in given.ranked_functions:
            ranked.function.method_definitions[name].web_url = method.web_url
    return given


def handle_metadata(
    function: Function,
    data: api_pb2.FunctionData | None,
    definition_id: str,
    urls: Mapping[str, str],
) -> api_pb2.FunctionHandleMetadata:
    """What a client needs to hold the function; `data` is None before FunctionCreate."""
    metadata = api_pb2.FunctionHandleMetadata(
        function_name=data.ranked_functions[0].function.function_name if data else function.name,
        function_type=data.function_type if data else FUNCTION_TYPE,
        definition_id=definition_id,
        app_id=function.app_id,
        base_function_id=function.base_id,
    )
    own = urls.get("", "")
    if own and (data is None or data.is_server):
        metadata._experimental_flash_urls.append(own)
    elif own:
        metadata.web_url = own
    if data is not None:
        metadata.is_method = data.is_method
        metadata.function_schema.CopyFrom(data.function_schema)
        metadata.supported_input_formats.extend(data.supported_input_formats)
        metadata.supported_output_formats.extend(data.supported_output_formats)
        if data.is_class:  # told apart by its presence
            metadata.class_parameter_info.CopyFrom(data.class_parameter_info)
        for name, method in data.method_definitions.items():
            handle = metadata.method_handle_metadata[name]
            handle.function_name = method.function_name
            handle.function_type = method.function_type
            handle.is_method = True
            handle.use_method_name = name
            handle.definition_id = definition_id
            handle.app_id = function.app_id
            handle.web_url = urls.get(name, "")
            handle.function_schema.CopyFrom(method.function_schema)
            handle.supported_input_formats.extend(method.supported_input_formats)
            handle.supported_output_formats.extend(method.supported_output_formats)
    return metadata


def with_options(
    data: api_pb2.FunctionData, options: api_pb2.FunctionOptions
) -> api_pb2.FunctionData:
    """The definition of a variant: the base's, with what was set for this one."""
    changed = api_pb2.FunctionData()
    changed.CopyFrom(data)
    scaling = changed.autoscaler_settings
    if options.HasField("concurrency_limit"):
        scaling.max_containers = options.concurrency_limit
    if options.HasField("buffer_containers"):
        scaling.buffer_containers = options.buffer_containers
    if options.HasField("task_idle_timeout_secs"):
        scaling.scaledown_window = options.task_idle_timeout_secs
    if options.HasField("timeout_secs"):
        changed.timeout_secs = options.timeout_secs
    for ranked in changed.ranked_functions:
        spec = ranked.function
        spec.autoscaler_settings.CopyFrom(scaling)
        if options.replace_secret_ids:
            spec.secret_ids.extend(options.secret_ids)
        if options.replace_volume_mounts:
            del spec.volume_mounts[:]
            spec.volume_mounts.extend(options.volume_mounts)
        if options.HasField("resources"):
            spec.resources.MergeFrom(options.resources)
        if options.HasField("retry_policy"):
            spec.retry_policy.CopyFrom(options.retry_policy)
        given = {field.name: value for field, value in options.ListFields()}
        for name in _VARIANT_FIELDS & given.keys():
            setattr(spec, name, given[name])
    return changed


def effective_settings(
    data: api_pb2.FunctionData, function: Function
) -> api_pb2.AutoscalerSettings:
    """The definition's settings, with what was changed live since the last publish."""
    settings = api_pb2.AutoscalerSettings()
    settings.CopyFrom(data.autoscaler_settings)
    settings.MergeFrom(api_pb2.AutoscalerSettings.FromString(function.overrides))
    return settings
