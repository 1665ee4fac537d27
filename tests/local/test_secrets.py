"""Secrets: made, changed, listed and deleted; their values go to containers only."""

import json

from modal_proto import api_pb2

from tests.local.conftest import Client, CommandLine, refusal


def test_the_cli_makes_lists_overwrites_and_deletes(client: Client, cli: CommandLine) -> None:
    said = cli("secret", "create", "s-cli", "TOKEN=hidden-1", "OTHER=hidden-2")
    assert "Created a new secret 's-cli' with the keys 'TOKEN', 'OTHER'" in said
    assert "Secret 's-cli' already exists." in cli.fails("secret", "create", "s-cli", "TOKEN=x")
    cli("secret", "create", "--force", "s-cli", "NEW=hidden-3")
    (row,) = [row for row in cli.rows("secret", "list") if row["name"] == "s-cli"]
    assert row["created_by"] == "local"
    assert _info(client, "s-cli").keys == ["NEW"]
    cli("secret", "delete", "s-cli", "--yes")
    assert "s-cli" not in cli("secret", "list")
    assert "Secret 's-cli' not found in environment 'main'." in " ".join(
        cli.fails("secret", "delete", "s-cli", "--yes").split()
    )
    cli("secret", "delete", "s-cli", "--yes", "--allow-missing")
    assert "hidden" not in cli("secret", "list") + cli("secret", "list", "--json")


def _info(client: Client, name: str) -> api_pb2.SecretMetadata:
    found = client.rpc("SecretGetOrCreate", api_pb2.SecretGetOrCreateRequest(deployment_name=name))
    asked = api_pb2.SecretGetInfoRequest(secret_id=found.secret_id)
    metadata: api_pb2.SecretMetadata = client.rpc("SecretGetInfo", asked).metadata
    return metadata


def test_an_update_changes_what_it_names(client: Client) -> None:
    assert client.sdk(
        """
        modal.Secret.objects.create("s-update", {"A": "1", "B": "1"})
        secret = modal.Secret.from_name("s-update").hydrate()
        secret.update({"B": "2", "C": "2"})
        info = secret.info(refresh=True)
        result = [info.name, info.environment_name, info.created_by, info.last_used]
        """
    ) == ["s-update", "main", "local", None]
    assert _info(client, "s-update").keys == ["A", "B", "C"]
    url = client.deploy(
        "updated-secret",
        'min_containers=1, unauthenticated=True, secrets=[modal.Secret.from_name("s-update")]',
    )
    client.ready(url)
    seen = client.get(url + "/env", {}).json()
    assert (seen["A"], seen["B"], seen["C"]) == ("1", "2", "2")
    found = client.rpc(
        "SecretGetOrCreate", api_pb2.SecretGetOrCreateRequest(deployment_name="s-update")
    )
    removal = api_pb2.SecretUpdateRequest(
        secret_id=found.secret_id, updates=[api_pb2.SecretUpdateRequest.Update(key="A")]
    )
    client.rpc("SecretUpdate", removal)
    assert _info(client, "s-update").keys == ["B", "C"]


def test_required_keys_that_are_missing_are_named(client: Client) -> None:
    client.sdk('modal.Secret.objects.create("s-required", {"A": "1"})')
    asked = api_pb2.SecretGetOrCreateRequest(
        deployment_name="s-required", required_keys=["A", "B", "C"]
    )
    assert refusal(client, "SecretGetOrCreate", asked) == (
        "FAILED_PRECONDITION",
        "Secret 's-required' is missing required keys: B, C.",
    )
    said = client.sdk(
        """
        modal.Secret.from_name("s-required", required_keys=["A"]).hydrate()
        try:
            modal.Secret.from_name("s-required", required_keys=["B"]).hydrate()
        except modal.exception.Error as error:
            result = str(error)
        """
    )
    assert said == "Secret 's-required' is missing required keys: B."


def test_no_value_is_given_out_or_logged(client: Client) -> None:
    """Neither an answer nor the log of calls nor the plane's own log holds a value."""
    client.sdk(
        """
        modal.Secret.objects.create("s-silent", {"A": "value-one"})
        modal.Secret.from_name("s-silent").hydrate().update({"A": "value-two"})
        """
    )
    answers = [
        client.rpc(
            "SecretGetOrCreate", api_pb2.SecretGetOrCreateRequest(deployment_name="s-silent")
        ),
        client.rpc("SecretList", api_pb2.SecretListRequest()),
    ]
    calls = client.calls("SecretGetOrCreate") + client.calls("SecretUpdate")
    log = (client.plane.state_dir / "plane.log").read_text()
    for where in (str(answers), json.dumps(calls), log):
        assert "value-one" not in where and "value-two" not in where


def test_an_id_that_is_gone_is_not_found(client: Client) -> None:
    made = client.rpc(
        "SecretGetOrCreate",
        api_pb2.SecretGetOrCreateRequest(
            deployment_name="s-gone",
            object_creation_type=api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING,
        ),
    )
    client.rpc("SecretDelete", api_pb2.SecretDeleteRequest(secret_id=made.secret_id))
    expected = ("NOT_FOUND", f"Secret with id '{made.secret_id}' not found.")
    for method, request in (
        ("SecretDelete", api_pb2.SecretDeleteRequest(secret_id=made.secret_id)),
        ("SecretGetInfo", api_pb2.SecretGetInfoRequest(secret_id=made.secret_id)),
        ("SecretUpdate", api_pb2.SecretUpdateRequest(secret_id=made.secret_id)),
    ):
        assert refusal(client, method, request) == expected


def test_anonymous_secrets_are_not_listed(client: Client) -> None:
    client.deploy("anonymous-secret", 'secrets=[modal.Secret.from_dict({"X": "quiet"})]')
    listed = client.rpc("SecretList", api_pb2.SecretListRequest())
    assert all(item.label for item in listed.items)


def test_a_long_list_comes_in_pages(client: Client) -> None:
    names = client.sdk(
        """
        modal.Environment.objects.create("many")
        for number in range(12):
            modal.Secret.objects.create(f"m-{number}", {}, environment_name="many")
        listed = modal.Secret.objects.list(environment_name="many")
        first = modal.Secret.objects.list(environment_name="many", max_objects=5)
        result = [[s.name for s in listed], [s.name for s in first]]
        """
    )
    newest_first = [f"m-{number}" for number in reversed(range(12))]
    assert names == [newest_first, newest_first[:5]]
