from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pytest

from napari_mmsubtype.core.record_reader import read_record, to_plain
from napari_mmsubtype.errors import ConfigurationError


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    size: int
    speed: float = 1.0

    def __post_init__(self):
        if self.size < 1:
            msg = f"size must be at least 1, found {self.size}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    mode: Literal["slow", "fast"] = "slow"
    source: str | Mapping[str, str] | None = None
    chance: Mapping[Color, float] = field(default_factory=dict)
    on: bool = False
    anything: Mapping[str, Any] = field(default_factory=dict)


WHOLE = {
    "name": "a",
    "inner": {"size": 2, "speed": 0.5},
    "many": [{"size": 1, "speed": 2.0}, {"size": 3, "speed": 1.0}],
    "mode": "fast",
    "source": {"left": "x"},
    "chance": {"red": 0.25},
    "on": True,
    "anything": {"a": [1, {"b": None}]},
}


def test_records_and_plain_settings_are_the_same_thing():
    record = read_record(Outer, WHOLE, "it")
    assert record.many[1] == Inner(3)
    assert record.chance == {Color.RED: 0.25}
    assert to_plain(record) == WHOLE
    assert read_record(Outer, to_plain(record), "it") == record


def test_what_is_not_named_takes_its_default():
    record = read_record(Outer, {"name": "a", "inner": {"size": 1}}, "it")
    assert record == Outer("a", Inner(1))


@pytest.mark.parametrize(
    ("source", "read"), [("torchvision", "torchvision"), (None, None)]
)
def test_text_or_mapping_or_none(source, read):
    given = {"name": "a", "inner": {"size": 1}, "source": source}
    assert read_record(Outer, given, "it").source == read


@pytest.mark.parametrize(
    ("speed", "read"), [(2, 2.0), ("1e-4", 1e-4), ("-3.5E2", -350.0), (0.5, 0.5)]
)
def test_numbers_as_people_write_them(speed, read):
    given = {"name": "a", "inner": {"size": 1, "speed": speed}}
    found = read_record(Outer, given, "it").inner.speed
    assert found == read
    assert isinstance(found, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, r"^it: unknown settings 'nmae'; known are anything, chance, "),
        ({"inner": {"sise": 1, "size": 1}}, r"^it: inner: unknown settings 'sise'; "),
        ({"inner": {}}, r"^it: inner: missing settings 'size'; known are size, speed"),
        ({"inner": 3}, r"^it: inner: expected settings by name, found 3"),
        ({"inner": {"size": 0}}, r"^it: inner: size must be at least 1, found 0"),
        ({"inner": {"size": 1.5}}, r"inner.size must be a whole number, found 1.5"),
        ({"inner": {"size": True}}, r"inner.size must be a whole number, found True"),
        ({"inner": {"size": 1, "speed": "fast"}}, r"inner.speed must be a number"),
        ({"inner": {"size": 1, "speed": True}}, r"inner.speed must be a number"),
        ({"name": 3}, r"name must be text, found 3"),
        ({"on": "yes"}, r"on must be true or false, found 'yes'"),
        ({"mode": "faster"}, r"mode must be one of slow, fast, found 'faster'"),
        ({"mode": ["fast"]}, r"mode must be one of slow, fast"),
        ({"many": {"size": 1}}, r"many must be a list"),
        ({"many": [{"size": 1}, {"size": "x"}]}, r"many\[1\].size must be a whole"),
        ({"chance": {"green": 0.1}}, r"chance must be one of red, blue, found 'green'"),
        ({"chance": {"red": "often"}}, r"chance.red must be a number, found 'often'"),
        ({"chance": [0.1]}, r"chance must be values by name"),
        ({"source": 3}, r"source must be text, found 3"),
        ({"source": {"left": 3}}, r"source.left must be text, found 3"),
        ({"name": "x" * 500, "on": 500 * "y"}, r"on must be .*yyy\.\.\.$"),
    ],
)
def test_what_is_wrong_is_named_once_with_its_path(change, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_record(Outer, {**WHOLE, **change}, "it")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**30)])
def test_numbers_that_nothing_counts_with_are_refused(value):
    with pytest.raises(ConfigurationError, match="speed must be a number, found"):
        read_record(Inner, {"size": 1, "speed": value}, "here")
