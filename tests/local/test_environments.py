"""An environment must exist before it is used, and ends with all that lives in it."""

import json

import pytest
from modal_proto import api_pb2

from tests.local.conftest import Client, CommandLine, refusal, until

UNKNOWN = "Environment 'nowhere' not found. Create it with `modal environment create nowhere`."


def test_main_is_there_from_the_start(cli: CommandLine) -> None:
    assert cli.rows("environment", "list")[0] == {
        "name": "main",
        "web_suffix": "",
        "image_builder_version": None,
        "active": "True",
    }


@pytest.mark.parametrize(
    "method,request_",
    [
        (
            "EnvironmentGetOrCreate",
            api_pb2.EnvironmentGetOrCreateRequest(deployment_name="nowhere"),
        ),
        ("EnvironmentUpdate", api_pb2.EnvironmentUpdateRequest(current_name="nowhere")),
        ("EnvironmentDelete", api_pb2.EnvironmentDeleteRequest(name="nowhere")),
        ("AppList", api_pb2.AppListRequest(environment_name="nowhere")),
        ("AppCreate", api_pb2.AppCreateRequest(environment_name="nowhere", app_state=5)),
        (
            "AppGetByDeploymentName",
            api_pb2.AppGetByDeploymentNameRequest(name="a", environment_name="nowhere"),
        ),
        ("AppLookup", api_pb2.AppLookupRequest(app_name="a", environment_name="nowhere")),
        ("FunctionGet", api_pb2.FunctionGetRequest(app_name="a", environment_name="nowhere")),
        ("TaskList", api_pb2.TaskListRequest(environment_name="nowhere")),
        ("SecretList", api_pb2.SecretListRequest(environment_name="nowhere")),
        ("DictList", api_pb2.DictListRequest(environment_name="nowhere")),
        ("QueueList", api_pb2.QueueListRequest(environment_name="nowhere")),
        ("VolumeList", api_pb2.VolumeListRequest(environment_name="nowhere")),
        (
            "SecretGetOrCreate",
            api_pb2.SecretGetOrCreateRequest(
                deployment_name="s", environment_name="nowhere", object_creation_type=1
            ),
        ),
        (
            "DictGetOrCreate",
            api_pb2.DictGetOrCreateRequest(environment_name="nowhere", object_creation_type=5),
        ),
        (
            "QueueGetOrCreate",
            api_pb2.QueueGetOrCreateRequest(
                deployment_name="q", environment_name="nowhere", object_creation_type=1
            ),
        ),
        (
            "VolumeGetOrCreate",
            api_pb2.VolumeGetOrCreateRequest(
                deployment_name="v", environment_name="nowhere", object_creation_type=1
            ),
        ),
        (
            "WorkspaceSetDefaultEnvironment",
            api_pb2.WorkspaceSetDefaultEnvironmentRequest(environment_name="nowhere"),
        ),
        (
            "WebhookTokenListForEnvironment",
            api_pb2.WebhookTokenListForEnvironmentRequest(environment_name="nowhere"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unknown_environment_is_not_found(client: Client, method: str, request_: object) -> None:
    assert refusal(client, method, request_) == ("NOT_FOUND", UNKNOWN)


def test_nothing_springs_up_by_a_name(client: Client, cli: CommandLine) -> None:
    path = client.write("nowhere-app")
    assert UNKNOWN in " ".join(cli.fails("deploy", str(path), "--env", "nowhere").split())
    assert UNKNOWN in " ".join(cli.fails("volume", "create", "v", "--env", "nowhere").split())
    assert "nowhere" not in cli("environment", "list")


def test_create_if_missing_creates(client: Client) -> None:
    names = client.sdk(
        """
        made = modal.Environment.from_name("wanted", create_if_missing=True).hydrate()
        again = modal.Environment.from_name("wanted").hydrate()
        result = [made.name, made.object_id == again.object_id]
        """
    )
    assert names == ["wanted", True]


def test_the_cli_creates_changes_lists_and_deletes(client: Client, cli: CommandLine) -> None:
    assert "Environment created: staging" in cli("environment", "create", "staging")
    assert "Environment 'staging' already exists." in cli.fails("environment", "create", "staging")
    cli("environment", "update", "staging", "--set-web-suffix", "stage")
    cli("environment", "update", "staging", "--set-image-builder-version", "2025.06")
    cli("environment", "update", "staging", "--set-name", "stable")
    (row,) = [row for row in cli.rows("environment", "list") if row["name"] == "stable"]
    assert row == {
        "name": "stable",
        "web_suffix": "stage",
        "image_builder_version": "2025.06",
        "active": "False",
    }
    assert "staging" not in cli("environment", "list")
    asked = api_pb2.EnvironmentGetOrCreateRequest(deployment_name="stable")
    settings = client.rpc("EnvironmentGetOrCreate", asked).metadata.settings
    assert settings == api_pb2.EnvironmentSettings(
        image_builder_version="2025.06", webhook_suffix="stage"
    )
    assert "Environment 'main' already exists." in cli.fails(
        "environment", "update", "stable", "--set-name", "main"
    )
    assert cli.rows("environment", "roles", "list", "stable") == {
        "users": {"local": "contributor"},
        "service_users": {},
    }
    cli("environment", "delete", "stable", "--yes")
    assert "stable" not in cli("environment", "list")
    assert "not found" in cli.fails("environment", "delete", "stable", "--yes")


def test_the_default_environment_stays(client: Client) -> None:
    assert refusal(client, "EnvironmentDelete", api_pb2.EnvironmentDeleteRequest(name="main")) == (
        "FAILED_PRECONDITION",
        "Environment 'main' is the workspace's default one. Make another one the default first: "
        "`modal workspace settings set default-environment NAME`.",
    )


def test_the_same_names_live_side_by_side(client: Client) -> None:
    assert client.sdk(
        """
        for name in ("left", "right"):
            modal.Environment.objects.create(name)
            shared = modal.Dict.from_name("sided", environment_name=name, create_if_missing=True)
            shared["side"] = name
        result = [
            modal.Dict.from_name("sided", environment_name=name)["side"]
            for name in ("left", "right")
        ]
        """
    ) == ["left", "right"]
    status, said = refusal(
        client,
        "DictGetOrCreate",
        api_pb2.DictGetOrCreateRequest(deployment_name="sided", environment_name="main"),
    )
    assert (status, said) == ("NOT_FOUND", "Dict 'sided' not found in environment 'main'.")


def test_deleting_an_environment_ends_what_lives_in_it(client: Client, cli: CommandLine) -> None:
    path = client.write("doomed-app", "min_containers=1, unauthenticated=True")
    ids = client.sdk(
        f"""
        modal.Environment.objects.create("doomed")
        load({str(path)!r}).app.deploy(environment_name="doomed")
        modal.Secret.objects.create("s", {{"K": "v"}}, environment_name="doomed")
        found = dict(environment_name="doomed", create_if_missing=True)
        result = [
            modal.Server.from_name("doomed-app", "Server", environment_name="doomed").get_url(),
            modal.Dict.from_name("d", **found).hydrate().object_id,
            modal.Queue.from_name("q", **found).hydrate().object_id,
            modal.Volume.from_name("v", **found).hydrate().object_id,
            modal.App.lookup("doomed-app", environment_name="doomed").app_id,
        ]
        """
    )
    url, dict_id, queue_id, volume_id, app_id = ids
    client.ready(url)
    folder = client.plane.state_dir / "volumes" / volume_id
    assert folder.is_dir()
    cli("environment", "delete", "doomed", "--yes")
    until(lambda: client.get(url + "/who", {}).status == 404)
    until(lambda: not client.containers("doomed-app"))
    assert not folder.exists()
    assert refusal(client, "DictLen", api_pb2.DictLenRequest(dict_id=dict_id))[0] == "NOT_FOUND"
    assert refusal(client, "QueueLen", api_pb2.QueueLenRequest(queue_id=queue_id))[0] == "NOT_FOUND"
    assert refusal(client, "AppList", api_pb2.AppListRequest(environment_name="doomed"))[0] == (
        "NOT_FOUND"
    )
    # A new one of that name starts empty; the ended app is still known by its id.
    cli("environment", "create", "doomed")
    assert json.loads(cli("app", "list", "--env", "doomed", "--json")) == []
    assert cli.rows("volume", "list", "--env", "doomed") == []
    state = client.rpc("AppGetLifecycle", api_pb2.AppGetLifecycleRequest(app_id=app_id)).lifecycle
    assert state.app_state == api_pb2.APP_STATE_STOPPED


def test_containers_know_their_environment(client: Client) -> None:
    path = client.write("homed", "min_containers=1, unauthenticated=True")
    url = client.sdk(
        f"""
        modal.Environment.objects.create("home")
        load({str(path)!r}).app.deploy(environment_name="home")
        result = modal.Server.from_name("homed", "Server", environment_name="home").get_url()
        """
    )
    client.ready(url)
    assert client.get(url + "/env", {}).json()["MODAL_ENVIRONMENT"] == "home"
    # A new name for the environment leaves its servers where they are.
    client.rpc(
        "EnvironmentUpdate",
        api_pb2.EnvironmentUpdateRequest(current_name="home", name={"value": "house"}),
    )
    assert client.get(url + "/who", {}).status == 200
    assert (
        client.sdk(
            'result = modal.Server.from_name("homed", "Server", environment_name="house").get_url()'
        )
        == url
    )
