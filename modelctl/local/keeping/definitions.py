"""What was a function or server defined as? Its proto, its digest, and what clients see of it."""

from functools import lru_cache

from modal_proto import api_pb2

from modelctl.local.keeping.records import Definition, Function
from modelctl.local.protobuf import digest_of

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


def with_url(data: api_pb2.FunctionData, url: str) -> api_pb2.FunctionData:
    """The definition as Modal gives it out: with the server's URL."""
    given = api_pb2.FunctionData()
    given.CopyFrom(data)
    if url:
        given.flash_service_urls.append(url)
        for ranked in given.ranked_functions:
            ranked.function.flash_service_urls.append(url)
    return given


def handle_metadata(
    function: Function, data: api_pb2.FunctionData | None, definition_id: str, url: str
) -> api_pb2.FunctionHandleMetadata:
    """What a client needs to hold the function; `data` is None before FunctionCreate."""
    metadata = api_pb2.FunctionHandleMetadata(
        function_name=function.name,
        function_type=data.function_type if data else FUNCTION_TYPE,
        definition_id=definition_id,
        app_id=function.app_id,
    )
    if url:
        metadata._experimental_flash_urls.append(url)
    if data is not None:
        metadata.is_method = data.is_method
        metadata.function_schema.CopyFrom(data.function_schema)
        metadata.supported_input_formats.extend(data.supported_input_formats)
        metadata.supported_output_formats.extend(data.supported_output_formats)
        metadata.class_parameter_info.CopyFrom(data.class_parameter_info)
    return metadata


def effective_settings(
    data: api_pb2.FunctionData, function: Function
) -> api_pb2.AutoscalerSettings:
    """The definition's settings, with what was changed live since the last publish."""
    settings = api_pb2.AutoscalerSettings()
    settings.CopyFrom(data.autoscaler_settings)
    settings.MergeFrom(api_pb2.AutoscalerSettings.FromString(function.overrides))
    return settings
