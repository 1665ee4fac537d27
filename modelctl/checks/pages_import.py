"""What do the codes of import mean? Why each is said, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

PAGES: Mapping[str, str] = {
    "import/encoding": (
        "A program is text in UTF-8, or in what its first two lines name, as Python itself reads "
        "it. An editor saves it as UTF-8."
    ),
    "import/no-app": (
        "Nothing in the file is a Modal app's server, and there is no modal.App either: it may "
        "stand in another file, which import does not follow."
    ),
    "import/no-engine": (
        "The app has a server, and no command line of an engine was found in what it starts. The "
        "program is read and never run, so that an engine inside of the Python process, or a "
        "command that another file puts together, is not seen."
    ),
    "import/no-server": (
        "The app has functions or classes, and none of that name gets a URL: that is what a spec "
        "describes."
    ),
    "import/syntax": (
        "The file is read as Python's own parser reads it, by the version that modelctl runs on."
    ),
    "import/too-large": (
        "Files past a megabyte are not read, and programs that put together more than any command "
        "line takes are not followed further. Name the file that has the app alone."
    ),
}
