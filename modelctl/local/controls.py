"""What may be asked of a running plane, and changed in it, over HTTP? Faults, GPUs, clock, images.

JSON in and out; every request shows the plane's token secret.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from modelctl.local import faults
from modelctl.local.clock import Clock
from modelctl.local.faults import Faults
from modelctl.local.inventory import INVENTORY, parse_inventory, written
from modelctl.local.keeping.definitions import parsed
from modelctl.local.keeping.recipes import layers, summary
from modelctl.local.keeping.state import State
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.placement import Placement
from modelctl.local.services.billing import set_own_prices

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def shows(request: web.Request, secret: str) -> bool:
    """Whether the request carries the plane's token secret."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    shown = request.headers.get("x-modal-token-secret") or bearer
    return hmac.compare_digest(shown.encode(errors="replace"), secret.encode())


class Controls:
    """The handlers that look into a plane and steer it."""

    def __init__(
        self,
        state: State,
        fleet: Fleet,
        placement: Placement,
        clock: Clock,
        faults: Faults,
        look_for_engines: Callable[[], Mapping[str, str | None]],
        token_secret: str,
    ) -> None:
        self._state = state
        self._fleet = fleet
        self._placement = placement
        self._clock = clock
        self._faults = faults
        self._look_for_engines = look_for_engines
        self._token_secret = token_secret

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Callable[[Any, str], Any]]] = [
            ("GET", "/faults", self._list_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{key}", self._clear_fault),
            ("GET", "/gpus", self._gpus),
            ("PUT", "/gpus", self._set_inventory),
            ("PUT", "/prices", self._set_prices),
            ("GET", "/clock", self._time),
            ("POST", "/clock", self._advance),
            ("GET", "/images", self._images),
            ("GET", "/images/{key}", self._image),
            ("POST", "/engines", self._engines),
        ]
        return [web.route(verb, path, self._checked(handler)) for verb, path, handler in table]

    def _checked(self, answer: Callable[[Any, str], Any]) -> _Handler:
        """Asks for the secret, reads and writes JSON, and turns a ValueError into its sentence."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if not shows(request, self._token_secret):
                return _refusal(401, "this needs the token secret of the local control plane")
            try:
                body = json.loads(await request.read() or b"{}")
                if not isinstance(body, dict):
                    raise ValueError("the body must be a JSON object")
                result = answer(body, request.match_info.get("key", ""))
                self._state.store.commit()
                return web.json_response(result)
            except LookupError as error:
                return _refusal(404, str(error.args[0]))
            except ValueError as error:
                return _refusal(400, str(error))

        return handle

    # -- faults

    def _list_faults(self, _: Any, __: str) -> Any:
        return {"faults": self._faults.listed()}

    def _add_fault(self, body: dict[str, Any], _: str) -> Any:
        kind = str(body.pop("kind", ""))
        return {"id": self._faults.add(faults.made(kind, body)).id}

    def _clear_faults(self, _: Any, __: str) -> Any:
        return {"cleared": self._faults.clear()}

    def _clear_fault(self, _: Any, key: str) -> Any:
        if not self._faults.clear(key):
            raise LookupError(f"there is no fault {key}")
        return {"cleared": 1}

    # -- GPUs

    def _gpus(self, _: Any, __: str) -> Any:
        inventory = self._placement.inventory
        return {
            "inventory": None if inventory is None else dict(inventory),
            "in_use": dict(self._placement.in_use()),
            "waiting": [
                {
                    "container": container,
                    "app": self._app_of(container),
                    "wants": [str(choice) for choice in wanted],
                }
                for container, wanted in self._placement.waiting().items()
            ],
        }

    def _app_of(self, container_id: str) -> str:
        container = self._fleet.container(container_id)
        return self._state.app(container.function.app_id).description if container else ""

    def _set_inventory(self, body: dict[str, Any], key: str) -> Any:
        said = body.get("inventory")
        inventory = None if said is None else parse_inventory(str(said))
        if inventory is None:
            self._state.store.execute("DELETE FROM meta WHERE key = ?", [INVENTORY])
        else:
            self._state.store.set_meta(INVENTORY, written(inventory))
        self._placement.set_inventory(inventory)
        return self._gpus(body, key)

    # -- prices

    def _set_prices(self, body: dict[str, Any], _: str) -> Any:
        wanted = body.get("prices") or {}
        if not isinstance(wanted, dict):
            raise ValueError("prices must be a JSON object: a name and USD per second")
        set_own_prices(self._state.store, wanted)
        return {"prices": {name: str(price) for name, price in wanted.items()}}

    # -- the clock

    def _time(self, _: Any, __: str) -> Any:
        return {"now": self._clock.time(), "ahead": self._clock.ahead}

    def _advance(self, body: dict[str, Any], key: str) -> Any:
        seconds = body.get("advance")
        if not isinstance(seconds, int | float):
            raise ValueError("advance must be a number of seconds")
        self._clock.advance(seconds)
        return self._time(body, key)

    # -- images and engines

    def _images(self, _: Any, __: str) -> Any:
        used: dict[str, set[str]] = {}
        for app in self._state.deployed_apps():
            for definition_id in app.definition_ids.values():
                data = parsed(self._state.definitions[definition_id])
                for ranked in data.ranked_functions:
                    used.setdefault(ranked.function.image_id, set()).add(app.name)
        images = sorted(self._state.images.values(), key=lambda image: image.created_at)
        return {
            "images": [
                {**summary(self._state.images, image), "apps": sorted(used.get(image.id, ()))}
                for image in images
            ]
        }

    def _image(self, _: Any, key: str) -> Any:
        image = self._state.images.get(key)
        if image is None:
            raise LookupError(f"there is no image {key}")
        return {**summary(self._state.images, image), "layers": layers(self._state.images, key)}

    def _engines(self, _: Any, __: str) -> Any:
        return {"engines": dict(self._look_for_engines())}


def _refusal(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
