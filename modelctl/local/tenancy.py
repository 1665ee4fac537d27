"""How does a client get a workspace of its own? It asks for one by name, with the plane's token."""

from aiohttp import web

from modelctl.local.controls import shows
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.workspaces import Workspaces


def routes(workspaces: Workspaces, store: Store) -> list[web.RouteDef]:
    """``PUT /workspaces/<name>`` answers with its tokens; the workspace is made on first use."""

    async def put(request: web.Request) -> web.Response:
        if not shows(request, workspaces.default.token_secret):
            return web.Response(status=401, text="A workspace needs the plane's token secret.\n")
        try:
            workspace = workspaces.named(request.match_info["name"])
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        proxy_token = workspaces.proxy_token(workspace.id)
        store.commit()
        return web.json_response(
            {
                "workspace": workspace.name,
                "token_id": workspace.token_id,
                "token_secret": workspace.token_secret,
                "proxy_token_id": proxy_token.id,
                "proxy_token_secret": proxy_token.secret,
            }
        )

    return [web.put("/workspaces/{name}", put)]
