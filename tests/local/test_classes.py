"""A deployed class: parameters, hooks, methods, variants."""

import pytest

from tests.local.conftest import Client, until

CLASSES = """
import os
import modal

app = modal.App("classes")

@app.cls(scaledown_window=2, max_containers=3)
class Model:
    name: str = modal.parameter(default="nobody")
    size: int = modal.parameter(default=1)

    @modal.enter()
    def start(self):
        self.greeting = f"hello {self.name} of {self.size}"

    @modal.method()
    def greet(self, who):
        return f"{self.greeting}, says {who}"

    @modal.method()
    def count(self):
        yield from range(self.size)

    @modal.method()
    def pid(self):
        return os.getpid()

    @modal.method()
    def limit(self):
        return self.again.remote()

    @modal.method()
    def again(self):
        return self.size + 1

    @modal.exit()
    def stop(self):
        print(f"goodbye {self.name}", flush=True)

@app.cls()
class Plain:
    @modal.method()
    async def double(self, n):
        return 2 * n
"""


@pytest.fixture(scope="module")
def classes(client: Client) -> Client:
    path = client.folder / "classes.py"
    path.write_text(CLASSES)
    client.sdk(f"load({str(path)!r}).app.deploy()")
    return client


def test_a_method_is_called_on_an_instance(classes: Client) -> None:
    assert classes.sdk(
        """
        Model = modal.Cls.from_name("classes", "Model")
        Plain = modal.Cls.from_name("classes", "Plain")
        one = Model(name="Ada", size=3)
        result = [
            one.greet.remote("you"),
            list(one.count.remote_gen()),
            Model().greet.remote("me"),
            list(Plain().double.map([1, 2])),
        ]
        """
    ) == ["hello Ada of 3, says you", [0, 1, 2], "hello nobody of 1, says me", [2, 4]]


@pytest.mark.full
def test_the_same_parameters_share_containers_and_others_do_not(classes: Client) -> None:
    first, again, other = classes.sdk(
        """
        Model = modal.Cls.from_name("classes", "Model")
        result = [Model(name=name).pid.remote() for name in ("Bea", "Bea", "Cid")]
        """
    )
    assert first == again != other


@pytest.mark.full
def test_a_method_calls_another_one_of_its_instance(classes: Client) -> None:
    code = "result = modal.Cls.from_name('classes', 'Model')(size=4).limit.remote()"
    assert classes.sdk(code) == 5


@pytest.mark.full
def test_exit_hooks_run_when_a_container_was_idle_long_enough(classes: Client) -> None:
    classes.sdk("modal.Cls.from_name('classes', 'Model')(name='Dan').pid.remote()")
    until(lambda: "goodbye Dan" in classes.logs("classes"))


@pytest.mark.full
def test_options_make_a_variant(classes: Client) -> None:
    kind, sentence = classes.sdk(
        """
        Model = modal.Cls.from_name("classes", "Model").with_options(timeout=1, max_containers=1)
        slow = Model(name="Eve", size=10**9)
        try:
            result = [list(slow.count.remote_gen())]
        except Exception as error:
            result = [type(error).__name__, str(error)]
        """
    )
    assert kind == "FunctionTimeoutError"
    assert sentence.endswith(" hit its timeout of 1s")


@pytest.mark.full
def test_a_redeploy_reaches_every_variant(classes: Client) -> None:
    path = classes.folder / "classes.py"
    path.write_text(CLASSES.replace("hello", "good morning"))
    answer = classes.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        result = modal.Cls.from_name("classes", "Model")(name="Ada", size=3).greet.remote("you")
        """
    )
    assert answer == "good morning Ada of 3, says you"


def test_a_class_that_is_not_there(classes: Client) -> None:
    sentence = classes.sdk(
        """
        try:
            modal.Cls.from_name("classes", "Nothing").hydrate()
        except modal.exception.NotFoundError as error:
            result = str(error)
        """
    )
    assert "App 'classes' has no" in sentence
