"""One plane holds several workspaces: each with its own tokens, names and objects."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.keeping.state import State, find_named
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.workspaces import Workspaces
from modelctl.local.lifecycle import LocalError
from modelctl.local.protobuf import Empty
from tests.local.conftest import Client, CommandLine, refusal, until


def guest(client: Client, name: str) -> Client:
    """The same plane as another workspace sees it: RPCs and the CLI, no SDK worker."""
    environment = lifecycle.environ(client.plane, name)
    plane = dataclasses.replace(
        client.plane,
        token_id=environment["MODAL_TOKEN_ID"],
        token_secret=environment["MODAL_TOKEN_SECRET"],
        proxy_token_id=environment["MODELCTL_PROXY_TOKEN_ID"],
        proxy_token_secret=environment["MODELCTL_PROXY_TOKEN_SECRET"],
    )
    return dataclasses.replace(client, plane=plane)


def guest_cli(cli: CommandLine, client: Client, name: str) -> CommandLine:
    """Modal's CLI in another workspace."""
    return dataclasses.replace(cli, variables=lifecycle.environ(client.plane, name))


def test_a_workspace_is_made_when_it_is_first_asked_for(client: Client) -> None:
    first = lifecycle.environ(client.plane, "acme")
    assert first["MODAL_TOKEN_ID"].startswith("ak-")
    assert first["MODAL_TOKEN_SECRET"].startswith("as-")
    assert first["MODELCTL_PROXY_TOKEN_ID"].startswith("wk-")
    assert lifecycle.environ(client.plane, "acme") == first
    assert lifecycle.environ(client.plane, "emca")["MODAL_TOKEN_ID"] != first["MODAL_TOKEN_ID"]
    assert lifecycle.environ(client.plane, "local") == lifecycle.environ(client.plane)


@pytest.mark.parametrize("name", ["Acme", "a b", "-a", "../a", "ä", "a" * 64])
def test_what_cannot_name_a_workspace_is_said(client: Client, name: str) -> None:
    with pytest.raises(LocalError) as caught:
        lifecycle.environ(client.plane, name)
    assert str(caught.value) == (
        f"{name!r} cannot name a workspace: use lower-case letters, digits and dashes."
    )


def test_a_workspace_is_only_for_who_has_the_planes_token(client: Client) -> None:
    stranger = dataclasses.replace(client.plane, token_secret="as-" + "0" * 32)
    with pytest.raises(LocalError) as caught:
        lifecycle.environ(stranger, "strange")
    assert str(caught.value) == "A workspace needs the plane's token secret."


def test_a_token_says_whose_it_is(client: Client, cli: CommandLine) -> None:
    acme = guest(client, "acme")
    said = guest_cli(cli, client, "acme")("token", "info")
    assert f"Token: {acme.plane.token_id}" in said and "Workspace: acme" in said
    assert "Workspace: local (ac-local)" in cli("token", "info")
    assert acme.rpc("WorkspaceNameLookup", Empty()).username == "acme"


def test_a_wrong_token_opens_nothing(client: Client) -> None:
    acme = guest(client, "acme")
    for token_id, secret in (
        (acme.plane.token_id, client.plane.token_secret),
        (client.plane.token_id, acme.plane.token_secret),
        (acme.plane.token_id, "-"),
        (acme.plane.proxy_token_id, acme.plane.proxy_token_secret),
    ):
        mixed = dataclasses.replace(client.plane, token_id=token_id, token_secret=secret)
        asked = api_pb2.AppListRequest()
        status, said = refusal(dataclasses.replace(client, plane=mixed), "AppList", asked)
        assert status == "UNAUTHENTICATED"
        assert said.startswith("The token is not the local control plane's.")


def test_names_of_one_workspace_are_another_ones_too(client: Client) -> None:
    """The same names in both, each with its own content."""
    acme = guest(client, "names")
    code = """
    import modal
    d = modal.Dict.from_name("same", create_if_missing=True)
    d["whose"] = WHOSE
    v = modal.Volume.from_name("same", create_if_missing=True).hydrate()
    q = modal.Queue.from_name("same", create_if_missing=True)
    q.put(WHOSE)
    modal.Secret.objects.create("same", {WHOSE: "x"})
    modal.Environment.objects.create("of-" + WHOSE)
    result = [
        d["whose"],
        q.get(),
        [v.name for v in modal.Volume.objects.list()].count("same"),
        [e.name for e in modal.Environment.objects.list() if e.name.startswith("of-")],
    ]
    """
    assert client.sdk(code.replace("WHOSE", "'ours'")) == ["ours", "ours", 1, ["of-ours"]]
    assert acme.sdk_alone(code.replace("WHOSE", "'theirs'")) == [
        "theirs",
        "theirs",
        1,
        ["of-theirs"],
    ]
    assert client.sdk("result = modal.Dict.from_name('same')['whose']") == "ours"
    # A name that only one has is not there for the other.
    status, said = refusal(
        acme, "SecretGetOrCreate", api_pb2.SecretGetOrCreateRequest(deployment_name="missing")
    )
    assert (status, said) == ("NOT_FOUND", "Secret 'missing' not found in environment 'main'.")
    status, said = refusal(acme, "AppList", api_pb2.AppListRequest(environment_name="of-ours"))
    assert status == "NOT_FOUND"
    assert said == (
        "Environment 'of-ours' not found. Create it with `modal environment create of-ours`."
    )


def test_ids_of_another_workspace_are_not_found(client: Client, cli: CommandLine) -> None:
    stranger = guest(client, "strangers")
    client.deploy("private", "min_containers=1")
    ids = client.sdk(
        """
        app = modal.App.lookup("private")
        result = {
            "App": app.app_id,
            "Function": modal.Server.from_name("private", "Server").hydrate().object_id,
            "Dict": modal.Dict.from_name("private", create_if_missing=True).hydrate().object_id,
            "Queue": modal.Queue.from_name("private", create_if_missing=True).hydrate().object_id,
            "Volume": modal.Volume.from_name("private", create_if_missing=True).hydrate().object_id,
            "Environment": modal.Environment.from_name("main").hydrate().object_id,
        }
        """
    )
    ids["Container"] = until(lambda: client.containers("private"))[0]
    asked = {
        "AppStop": api_pb2.AppStopRequest(app_id=ids["App"]),
        "AppGetOrCreate": api_pb2.AppGetOrCreateRequest(app_name=ids["App"]),
        "AppFetchLogs": api_pb2.AppFetchLogsRequest(app_id=ids["App"]),
        "FunctionGetById": api_pb2.FunctionGetByIdRequest(function_id=ids["Function"]),
        "DictGet": api_pb2.DictGetRequest(dict_id=ids["Dict"], key=b"k"),
        "QueuePut": api_pb2.QueuePutRequest(queue_id=ids["Queue"], values=[b"v"]),
        "VolumeDelete": api_pb2.VolumeDeleteRequest(volume_id=ids["Volume"]),
        "TaskGetInfo": api_pb2.TaskGetInfoRequest(task_id=ids["Container"]),
        "ContainerStop": api_pb2.ContainerStopRequest(task_id=ids["Container"]),
        "EnvironmentGetRoles": api_pb2.EnvironmentGetRolesRequest(
            environment_id=ids["Environment"]
        ),
    }
    for method, request in asked.items():
        status, said = refusal(stranger, method, request)
        kind, object_id = next((k, i) for k, i in ids.items() if i in str(request))
        assert (method, status, said) == (
            method,
            "NOT_FOUND",
            f"{kind} with id '{object_id}' not found.",
        )
    # Deep inside a request too: nobody mounts another's Volume.
    mounting = api_pb2.FunctionCreateRequest(
        function=api_pb2.Function(volume_mounts=[api_pb2.VolumeMount(volume_id=ids["Volume"])])
    )
    status, said = refusal(stranger, "FunctionCreate", mounting)
    assert (status, said) == ("NOT_FOUND", f"Volume with id '{ids['Volume']}' not found.")
    assert cli("app", "list", "--json").count('"private"') == 1


def test_a_call_of_another_workspace_is_not_found_by_its_token(client: Client) -> None:
    function_id = client.sdk(
        """
        app = modal.App("retried-by-its-own")
        function = app.function(serialized=True, name="f")(lambda: 1)
        app.deploy()
        result = function.object_id
        """
    )
    made = client.rpc("FunctionMap", api_pb2.FunctionMapRequest(function_id=function_id))
    asked = api_pb2.FunctionRetryInputsRequest(function_call_jwt=made.function_call_jwt)
    assert not client.rpc("FunctionRetryInputs", asked).input_jwts
    assert refusal(guest(client, "acme"), "FunctionRetryInputs", asked) == (
        "NOT_FOUND",
        f"Function call '{made.function_call_id}' not found.",
    )


def test_a_server_belongs_to_the_workspace_of_its_app(client: Client, cli: CommandLine) -> None:
    """Its containers speak for that workspace, and only that one's proxy tokens open it."""
    acme = guest(client, "servers")
    acme_cli = guest_cli(cli, client, "servers")
    path = client.write(
        "housed",
        "min_containers=1",
        before='modal.Dict.from_name("housed", create_if_missing=True)["workspace"] = '
        "modal.Workspace.from_context().hydrate().name",
    )
    acme_cli("deploy", str(path))
    url = acme.sdk_alone("result = modal.Server.from_name('housed', 'Server').get_url()")
    acme.ready(url)
    assert client.get(url + "/who").status == 401
    bearer = f"Bearer {acme.plane.proxy_token_id}.{acme.plane.proxy_token_secret}"
    assert client.get(url + "/who", {"Authorization": bearer}).status == 200
    assert acme.sdk_alone("result = modal.Dict.from_name('housed')['workspace']") == "servers"
    listed = acme.rpc("TaskList", api_pb2.TaskListRequest()).tasks
    assert [task.app_description for task in listed] == ["housed"]
    assert "housed" not in {
        task.app_description for task in client.rpc("TaskList", api_pb2.TaskListRequest()).tasks
    }
    acme_cli("app", "stop", "housed", "--yes")
    until(lambda: not acme.rpc("TaskList", api_pb2.TaskListRequest()).tasks)


def test_proxy_tokens_are_made_used_and_deleted(client: Client, cli: CommandLine) -> None:
    made = json.loads(cli("workspace", "proxy-tokens", "create", "--name", "ci", "--json"))
    key = made["Modal-Key"]
    url = client.deploy("tokened", "min_containers=1")
    client.ready(url)
    both = {"Modal-Key": key, "Modal-Secret": made["Modal-Secret"]}
    assert client.get(url + "/who", both).status == 200
    assert client.get(url + "/who", {"Authorization": made["Authorization"]}).status == 200
    shown = client.get(url + "/headers", {"Authorization": made["Authorization"]}).json()
    assert "Authorization" not in shown  # the engine does not see the credential
    assert client.get(url + "/who", both | {"Modal-Secret": "ws-wrong"}).status == 401
    cli("workspace", "proxy-tokens", "update", key, "name", "pipeline")
    listed = cli("workspace", "proxy-tokens", "list", "--json")
    assert [t["name"] for t in json.loads(listed) if t["token_id"] == key] == ["pipeline"]
    assert made["Modal-Secret"] not in listed
    cli("workspace", "proxy-tokens", "delete", key, "--yes")
    assert client.get(url + "/who", both).status == 401
    assert key not in cli("workspace", "proxy-tokens", "list")
    status, said = refusal(client, "WebhookTokenDelete", api_pb2.TokenDeleteRequest(token_id=key))
    assert (status, said) == ("NOT_FOUND", f"Proxy token '{key}' not found.")


def test_the_command_line_gives_out_a_workspace(client: Client) -> None:
    state = {"MODELCTL_LOCAL_DIR": str(client.plane.state_dir)}
    command = [sys.executable, "-m", "modelctl", "local", "env", "--workspace"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MODAL_")} | state
    done = subprocess.run(
        [*command, "acme"], env=environment, cwd=client.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    token_id = lifecycle.environ(client.plane, "acme")["MODAL_TOKEN_ID"]
    assert f"export MODAL_TOKEN_ID={token_id}\n" in done.stdout
    refused = subprocess.run(
        [*command, "No Name"], env=environment, cwd=client.folder, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "'No Name' cannot name a workspace" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_an_earlier_version_left_is_still_there(tmp_path: Path) -> None:
    """State from before there were workspaces: environments by name, one token for the plane."""
    store = Store(tmp_path / "state.db")
    store.set_meta("token", "ak-old as-old")
    store.set_meta("proxy_token", "wk-old ws-old")
    for kind, body in (
        ("environment", {"id": "en-old", "name": "main", "created_at": 1.0}),
        (
            "app",
            {
                "id": "ap-old",
                "environment": "main",
                "description": "old",
                "state": 3,
                "created_at": 1.0,
                "name": "old",
                "version": 1,
            },
        ),
        ("dict", {"id": "di-old", "environment": "main", "name": "d", "created_at": 1.0}),
    ):
        store.execute("INSERT INTO objects VALUES (?, ?, ?)", (kind, body["id"], json.dumps(body)))
    store.close()
    store = Store(tmp_path / "state.db")
    state = State(store)
    workspaces = Workspaces(state)
    assert workspaces.with_token("ak-old", "as-old") == workspaces.default.id
    assert workspaces.proxy_opens("ap-old", "wk-old", "ws-old")
    main = state.environment("")
    assert (main.id, main.name) == ("en-old", "main")
    assert state.deployed_app(main.id, "old") is state.apps["ap-old"]
    assert find_named(state.dicts, main.id, "d") is state.dicts["di-old"]
    store.close()


def test_settings_hold_for_one_workspace(client: Client, cli: CommandLine) -> None:
    acme = guest(client, "settings")
    acme_cli = guest_cli(cli, client, "settings")
    acme_cli("environment", "create", "dev")
    acme_cli("workspace", "settings", "set", "default-environment", "dev")
    acme_cli("workspace", "settings", "set", "image-builder-version", "2025.06")
    assert acme_cli("workspace", "settings", "list", "--json").split() == (
        cli("workspace", "settings", "list", "--json")
        .replace('"main"', '"dev"')
        .replace('"2026.10"', '"2025.06"')
        .split()
    )
    asked = api_pb2.WorkspaceSetImageBuilderVersionRequest(new_image_builder_version="1999.01")
    assert refusal(acme, "WorkspaceSetImageBuilderVersion", asked) == (
        "INVALID_ARGUMENT",
        "There is no image builder version '1999.01', only 2023.12, 2024.04, 2024.10, 2025.06, "
        "2026.10.",
    )
    # What names no environment now goes to dev.
    acme.rpc(
        "DictGetOrCreate",
        api_pb2.DictGetOrCreateRequest(
            deployment_name="there",
            object_creation_type=api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING,
        ),
    )
    in_dev = acme.rpc("DictList", api_pb2.DictListRequest(environment_name="dev"))
    assert [found.name for found in in_dev.dicts] == ["there"]


def test_members_and_member_tokens_are_listed(client: Client, cli: CommandLine) -> None:
    members = json.loads(cli("workspace", "members", "list", "--json"))
    assert [(m["name"], m["role"]) for m in members] == [("local", "owner")]
    tokens = cli("workspace", "member-tokens", "list", "--json")
    assert client.plane.token_id in tokens and client.plane.token_secret not in tokens


def test_workspaces_are_there_after_a_restart(own_client: Client) -> None:
    before = lifecycle.environ(own_client.plane, "acme")
    lifecycle.down(own_client.plane.state_dir)
    again = lifecycle.up(own_client.plane.state_dir)
    assert lifecycle.environ(again, "acme") == before
