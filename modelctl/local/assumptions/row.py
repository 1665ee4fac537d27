"""What is said about a rule of Modal's that nobody could check?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    rule: str  # the question
    assumed: str  # what the plane does
    shows: str  # what would be seen on Modal if that is wrong
    deliberate: bool = False  # known to differ from Modal
