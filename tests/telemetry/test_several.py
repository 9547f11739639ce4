"""Each of several observers hears what it listens for, in their order."""

from __future__ import annotations

import msgspec

from dirigent.telemetry.several import Several


class Sound(msgspec.Struct):
    name: str


class Music(Sound):
    pass


class Picture(msgspec.Struct):
    pass


class Ear:
    """Hears everything."""

    def __init__(self, heard: list[tuple[str, msgspec.Struct]], name: str = "ear") -> None:
        self._heard = heard
        self._name = name

    def observe(self, observation: msgspec.Struct) -> None:
        self._heard.append((self._name, observation))


class SoundsAlone(Ear):
    hears = (Sound,)


def test_an_observer_is_told_what_it_hears_and_everything_where_it_does_not_say() -> None:
    heard: list[tuple[str, msgspec.Struct]] = []
    several = Several(Ear(heard, "all"), SoundsAlone(heard, "sounds"))
    sound, music, picture = Sound("bell"), Music("fugue"), Picture()

    for each in (picture, sound, music, picture):
        several.observe(each)

    assert heard == [
        ("all", picture),
        ("all", sound),
        ("sounds", sound),
        ("all", music),
        ("sounds", music),
        ("all", picture),
    ]
